"""What the drop-ins that speak Thrift share."""
