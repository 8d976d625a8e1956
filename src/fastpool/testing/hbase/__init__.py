"""HBase's Thrift gateway, in memory."""
