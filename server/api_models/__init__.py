"""What the API takes and gives, as types: checked on the way in, described in OpenAPI. A file for each subject."""
