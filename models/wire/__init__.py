"""The only place that knows the wire: events and their envelope, topics, sealing."""
