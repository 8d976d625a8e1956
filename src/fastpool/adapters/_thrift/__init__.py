"""Code shared by the drop-ins for Thrift libraries: everything that does not await."""
