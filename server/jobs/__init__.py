"""What RQ runs, and how it is enqueued."""
