import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

import org.apache.hadoop.hbase.HBaseConfiguration;
import org.apache.hadoop.hbase.HRegionLocation;
import org.apache.hadoop.hbase.ServerName;
import org.apache.hadoop.hbase.TableName;
import org.apache.hadoop.hbase.client.Admin;
import org.apache.hadoop.hbase.client.ColumnFamilyDescriptorBuilder;
import org.apache.hadoop.hbase.client.Connection;
import org.apache.hadoop.hbase.client.ConnectionFactory;
import org.apache.hadoop.hbase.client.RegionLocator;
import org.apache.hadoop.hbase.client.TableDescriptorBuilder;
import org.apache.hadoop.hbase.util.Bytes;

/**
 * What Thrift cannot ask of HBase: tables of several regions, and moves and splits of regions.
 *
 * One command a line on standard input, one answer a line on standard output, "ok ..." or "error ...". Ends with its
 * input. Keys are text without spaces; "-" is the empty key.
 */
public final class AdminProgram {
  public static void main(String[] arguments) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    try (Connection connection = ConnectionFactory.createConnection(HBaseConfiguration.create());
        Admin admin = connection.getAdmin()) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        String answer;
        try {
          answer = "ok " + answer(connection, admin, line.split(" "));
        } catch (Exception error) {
          answer = "error " + error.toString().replace('\n', ' ');
        }
        System.out.println(answer);
        System.out.flush();
      }
    }
  }

  private static String answer(Connection connection, Admin admin, String[] words) throws Exception {
    TableName table = words.length > 1 ? TableName.valueOf(words[1]) : null;
    switch (words[0]) {
      case "create": // create TABLE FAMILY KEY...
        byte[][] keys = Arrays.stream(words, 3, words.length).map(Bytes::toBytes).toArray(byte[][]::new);
        admin.createTable(TableDescriptorBuilder.newBuilder(table)
            .setColumnFamily(ColumnFamilyDescriptorBuilder.of(words[2])).build(), keys);
        admin.balancerSwitch(false, true);
        return "";
      case "move": // move TABLE KEY HOST: the region that has KEY
        admin.move(region(connection, table, words[2]).getRegion().getEncodedNameAsBytes(), server(admin, words[3]));
        return "";
      case "split": // split TABLE KEY: the region that has KEY, at KEY
        byte[] key = Bytes.toBytes(words[2]);
        admin.splitRegionAsync(region(connection, table, words[2]).getRegion().getRegionName(), key).get();
        return "";
      case "regions": // regions TABLE: KEY=HOST...
        StringBuilder found = new StringBuilder();
        try (RegionLocator locator = connection.getRegionLocator(table)) {
          for (HRegionLocation one : locator.getAllRegionLocations()) {
            String start = Bytes.toString(one.getRegion().getStartKey());
            found.append(start.isEmpty() ? "-" : start).append('=').append(one.getHostname()).append(' ');
          }
        }
        return found.toString().trim();
      default:
        throw new IllegalArgumentException("no such command: " + words[0]);
    }
  }

  private static HRegionLocation region(Connection connection, TableName table, String key) throws Exception {
    try (RegionLocator locator = connection.getRegionLocator(table)) {
      return locator.getRegionLocation(key.equals("-") ? new byte[0] : Bytes.toBytes(key), true);
    }
  }

  private static ServerName server(Admin admin, String host) throws Exception {
    for (ServerName one : admin.getRegionServers()) {
      if (one.getHostname().equals(host)) {
        return one;
      }
    }
    throw new IllegalArgumentException("no region server is called " + host + ": " + admin.getRegionServers());
  }
}
