"""OHDSI's GiBleed: 2,694 synthetic people as a CDM v5.3, in a file of DuckDB 0.4, which no later DuckDB opens."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

_JAR = "duckdb_jdbc-0.4.0.jar"
_EXPORT = """
import java.sql.*;
import java.util.*;

public class Export {
    public static void main(String[] args) throws Exception {
        try (Connection c = DriverManager.getConnection("jdbc:duckdb:" + args[0]); Statement s = c.createStatement()) {
            List<String> tables = new ArrayList<>();
            try (ResultSet r = s.executeQuery("SELECT table_name FROM information_schema.tables")) {
                while (r.next()) tables.add(r.getString(1));
            }
            for (String t : tables) s.execute("COPY " + t + " TO '" + args[1] + "/" + t + ".csv' (FORMAT CSV, HEADER)");
        }
    }
}
"""


def _driver() -> Path:
    """DuckDB 0.4 for Java: where CARELAKE_DUCKDB_JDBC says, else from Maven's repository."""
    said = os.environ.get("CARELAKE_DUCKDB_JDBC")
    place = Path(said) if said else Path.home() / ".m2/repository/org/duckdb/duckdb_jdbc/0.4.0" / _JAR
    if not place.is_file() and shutil.which("mvn"):
        get = [
            "mvn",
            "-q",
            "-B",
            "dependency:get",
            "-Dtransitive=false",
            "-Dartifact=org.duckdb:duckdb_jdbc:0.4.0",
        ]
        subprocess.run(get, capture_output=True, timeout=300, check=False)
    if not place.is_file():
        pytest.skip(f"GiBleed is a file of DuckDB 0.4: set CARELAKE_DUCKDB_JDBC to a {_JAR}")
    return place


def export(archive: Path, folder: Path) -> Path:
    """Each table of the archive's database as `folder`/csv/<table>.csv."""
    if not archive.is_file():
        pytest.skip("omop_gibleed is not among the large data sets")
    driver, out = _driver(), folder / "csv"
    out.mkdir(parents=True)
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (folder / "Export.java").write_text(_EXPORT)
    command = ["java", "-cp", str(driver), str(folder / "Export.java"), str(folder / "cdm.duckdb"), str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return out
