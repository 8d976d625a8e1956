"""What the drop-ins for Thrift libraries share: everything that does not await."""
