"""What somebody must look at, until somebody says they did."""
