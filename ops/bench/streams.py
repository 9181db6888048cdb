"""The peer on the writing side: the same screen as a Kafka Streams service (streams/), compiled when it is first needed."""

import base64
import shutil
import statistics
import subprocess

from place import ROOT, run_json

WORK = ROOT / "build" / "bench" / "streams"
SOURCES = ROOT / "ops" / "bench" / "streams"
MESSAGES = ["tarn/view.proto", "genetics/events.proto", "genetics/screens.proto", "consultation/events.proto",
            "identity/events.proto"]
HEAP = "2g"


def is_possible():
    return all(shutil.which(program) for program in ("mvn", "javac", "java"))


def compile_it():
    stamp = "".join(path.read_text() for path in sorted(SOURCES.rglob("*")) if path.is_file())
    noted = WORK / "compiled-from"
    if noted.exists() and noted.read_text() == stamp:
        return
    generated = WORK / "generated"
    generated.mkdir(parents=True, exist_ok=True)
    subprocess.run(["protoc", "-I", "schema", "-I", "schema/examples", f"--java_out={generated}", *MESSAGES], cwd=ROOT,
                   check=True)
    subprocess.run(["mvn", "-q", "-B", "-f", SOURCES / "pom.xml", f"-Dwork={WORK}", f"-Dgenerated={generated}", "compile",
                    "dependency:build-classpath", f"-Dmdep.outputFile={WORK / 'classpath'}"], cwd=ROOT, check=True)
    noted.write_text(stamp)


def run(place, topic, guarantee, application, records, dump=None):
    """Handles that many records, in the state that this application has; until they are committed."""
    state = place.folder / "streams" / application
    classpath = (WORK / "classpath").read_text().strip()
    figures = run_json(["java", f"-Xms{HEAP}", f"-Xmx{HEAP}", "-cp", f"{WORK / 'classes'}:{classpath}",
                        "tarn.bench.GeneticsStreams", place.kafka.brokers, topic, records, guarantee, application, state,
                        *([dump] if dump else [])])
    figures["cpu_us"] = figures["cpu_s"] * 1e6 / records
    return figures


def closing_note(figures):
    closing = statistics.median(figure["closing"] for figure in figures)
    return f"Kafka Streams took another {closing:.1f} s to commit and close, which isn't counted."


def views_of(dump):
    """{key: bytes} of what a run wrote down."""
    rows = (line.rstrip("\n").split("\t") for line in open(dump))
    return {key: base64.b64decode(view) for key, view in rows}
