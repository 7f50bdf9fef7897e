"""What the product does. Services never enqueue: they return what is due."""
