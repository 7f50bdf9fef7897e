"""The pages over real HTTP, as a browser asks for them."""
