"""What edge and central share: the wire, the passes, what an image shows, the screen kit."""
