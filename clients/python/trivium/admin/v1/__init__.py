"""The generated messages and stubs of the Protobuf package trivium.admin.v1."""
