"""Files of residents that somebody brings to the desk: looked at, mapped, then imported beside the service."""
