// What a program in Java does with the PostgreSQL JDBC driver: see README.md in test/drivers for what is checked.

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;

public class Check {
	private static final String PARTITION = "jdbc";
	private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

	private static void ok(boolean condition, String what) {
		OUT.println((condition ? "ok " : "not ok ") + what);
	}

	private static Connection connect(String port) throws SQLException {
		return DriverManager.getConnection(
			"jdbc:postgresql://" + System.getenv("PGHOST") + ":" + port + "/" + System.getenv("PGDATABASE"),
			System.getenv("PGUSER"), System.getenv("PGPASSWORD"));
	}

	// The first column of the first row.
	private static Object one(Connection connection, String sql, Object... parameters) throws SQLException {
		try (PreparedStatement statement = connection.prepareStatement(sql)) {
			for (int i = 0; i < parameters.length; i++)
				statement.setObject(i + 1, parameters[i]);
			try (ResultSet row = statement.executeQuery()) {
				row.next();
				return row.getObject(1);
			}
		}
	}

	private static long put(Connection connection, String key, Object value) throws SQLException {
		return (Long) one(connection, "SELECT paxos_put(?, ?, ?)", key, value, PARTITION);
	}

	private static String get(Connection connection, String key) throws SQLException {
		return (String) one(connection, "SELECT paxos_get(?, ?)", key, PARTITION);
	}

	private static String sqlstate(Connection connection, String sql, Object... parameters) {
		try {
			one(connection, sql, parameters);
		} catch (SQLException error) {
			return error.getSQLState();
		}
		return "00000";
	}

	private static void values(Connection here, Connection there) throws SQLException {
		long revision = put(here, "apple", "green");
		ok(revision > 0, "put gives a Long, the revision");
		ok("green".equals(get(there, "apple")), "get on another node");
		ok(put(here, "count", 7L) > revision && "7".equals(get(there, "count")), "put of a Long is its text");
		Object keys = here.createArrayOf("text", new String[] {"a", "b"});
		Object vals = here.createArrayOf("text", new String[] {"1", "2"});
		ok((Long) one(here, "SELECT paxos_batch(?, ?, ?)", keys, vals, PARTITION) > 0, "batch of two arrays");
		List<String> rows = new ArrayList<>();
		try (PreparedStatement many = there.prepareStatement("SELECT key, value FROM paxos_get_many(?, ?)")) {
			many.setArray(1, there.createArrayOf("text", new String[] {"b", "a", "none"}));
			many.setString(2, PARTITION);
			try (ResultSet row = many.executeQuery()) {
				while (row.next())
					rows.add(row.getString("key") + row.getString("value"));
			}
		}
		ok(rows.equals(List.of("a1", "b2")), "get_many gives rows");
		String[][] odd = {{"unicode", "ключ 🍐 ä"}, {"quotes", "it's \"so\" \\ $1 ?"}};
		for (String[] key : odd) {
			put(here, key[1], key[1]);
			ok(key[1].equals(get(there, key[1])), key[0] + " in key and value");
		}
	}

	private static void nulls(Connection here, Connection there) throws SQLException {
		ok(get(there, "absent") == null, "an absent key is null");
		ok(sqlstate(here, "SELECT paxos_put(?, ?, ?)", "apple", null, PARTITION).equals("22004"), "a value null is 22004");
		ok(sqlstate(here, "SELECT paxos_put(?, ?, ?)", null, "x", PARTITION).equals("22004"), "a key null is 22004");
	}

	private static void transaction(Connection here, Connection there) throws SQLException {
		here.setAutoCommit(false);
		put(here, "in transaction", "there");
		ok("there".equals(get(there, "in transaction")), "seen elsewhere before COMMIT");
		here.rollback();
		here.setAutoCommit(true);
		ok("there".equals(get(there, "in transaction")), "and after ROLLBACK");
	}

	private static void retry(Connection here, Connection there) throws SQLException {
		String sql = "SELECT paxos_put(?, ?, ?, ?)";
		Object first = one(here, sql, "retried", "once", PARTITION, "jdbc-1");
		put(here, "retried", "changed since");
		ok(first.equals(one(there, sql, "retried", "once", PARTITION, "jdbc-1")), "a retry elsewhere gives the same revision");
		ok("changed since".equals(get(here, "retried")), "... and has no second effect");
		ok(sqlstate(here, sql, "retried", "other", PARTITION, "jdbc-1").equals("22023"), "another command with that id is 22023");
	}

	public static void main(String[] arguments) throws SQLException {
		try (Connection here = connect(System.getenv("PGPORT")); Connection there = connect(System.getenv("OTHER_PORT"))) {
			values(here, there);
			nulls(here, there);
			transaction(here, there);
			retry(here, there);
		}
	}
}
