"""HBase's programs for tests: their jars, their settings, and the command that starts one of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from xml.sax.saxutils import escape

from tools.jvm.program import CACHE, FRUGAL, Jvm, NotStarted, java, text
from tools.jvm.program import jars as bring_jars

HERE = Path(__file__).resolve().parent
STATE = CACHE / "hbase"
MASTER = "org.apache.hadoop.hbase.master.HMaster"
REGION_SERVER = "org.apache.hadoop.hbase.regionserver.HRegionServer"
GATEWAY = "org.apache.hadoop.hbase.thrift.ThriftServer"
OPENS = (
    "java.lang",
    "java.lang.reflect",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
    "jdk.internal.ref",
    "sun.nio.ch",
)
LOG4J = f"""\
log4j.rootLogger=WARN,err
log4j.logger.{MASTER}=INFO
log4j.logger.{REGION_SERVER}=INFO
log4j.appender.err=org.apache.log4j.ConsoleAppender
log4j.appender.err.target=System.err
log4j.appender.err.layout=org.apache.log4j.PatternLayout
log4j.appender.err.layout.ConversionPattern=%d %-5p [%t] %c{{2}}: %m%n
"""


def jars() -> Path:
    """Give the folder with HBase's 150 jars, bringing them in by Maven the first time (108 MB)."""
    return bring_jars(HERE / "pom.xml", STATE / "lib")


def write_site(folder: Path, settings: dict[str, object]) -> None:
    """Write `hbase-site.xml` and the logging set-up, the only configuration that the gateway reads."""
    folder.mkdir(parents=True, exist_ok=True)
    body = "".join(
        f"  <property><name>{escape(name)}</name><value>{escape(text(value))}</value></property>\n"
        for name, value in settings.items()
    )
    (folder / "hbase-site.xml").write_text(f"<configuration>\n{body}</configuration>\n")
    (folder / "log4j.properties").write_text(LOG4J)


def command(folder: Path, heap: str) -> list[str]:
    """The beginning of a command that runs one of HBase's programs, with the settings that are in `folder`."""
    opens = [f"java.base/{name}" for name in OPENS]
    options = [f"-Xmx{heap}", *FRUGAL, f"-Djava.io.tmpdir={folder}", "-cp", f"{folder}{os.pathsep}{jars()}/*"]
    return [*java(opens, ["java.base/jdk.internal.misc"]), *options]


def start(folder: Path, program: list[str], heap: str, seconds: float) -> Jvm:
    """Start one of HBase's servers in `folder`, where its settings are."""
    return Jvm(folder, [*command(folder, heap), *program], seconds)


class Admin:
    """AdminProgram.java, for tables of several regions, moves and splits; it ends with this process."""

    def __init__(self, folder: Path, settings: dict[str, object]) -> None:
        write_site(folder, settings)
        self.log = folder / "log"
        program = [*command(folder, "128m"), str(HERE / "AdminProgram.java")]
        with self.log.open("wb") as log:  # no leash, which would take its standard input
            self._process = subprocess.Popen(
                program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder
            )

    def ask(self, *words: str) -> str:
        """Have a command carried out, and return what it gives; NotStarted if it fails."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().rstrip("\n")
        if not answer.startswith("ok "):
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])
            raise NotStarted(f"{' '.join(words)} failed: {answer or 'the program has ended'}\n{tail}")
        return answer.removeprefix("ok ")

    def stop(self) -> None:
        """Close its standard input, which ends it, and wait until it is gone."""
        self._process.communicate(timeout=30)
