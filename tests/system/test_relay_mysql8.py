"""The second tier: the relay on Oracle's MySQL 8.0.33, over TLS, with either client library."""

import pathlib
import shutil
import subprocess
import tempfile

import pytest
from tarn import BUILD, EXAMPLE_FOLDER, EXAMPLES, FLAVOUR, ROOT
from tarn.mariadb import Database
from tarn.relay import relay_command
from tarn.waiting import wait_until
from test_relay import insert, make_race, race, versions_by_key, wait_empty

pytestmark = pytest.mark.soak
MYSQL = ROOT / "build/mysql-8.0.33"
LIBRARIES = ["-lrdkafka", "-llmdb", "-lprotobuf-c", "-ljansson", "-linih", "-lxxhash", "-lz", "-lpthread", "-lm"]


@pytest.fixture
def mysql():
    assert MYSQL.is_dir(), f"{MYSQL} isn't there: ops/dev/install.sh mysql installs it"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-db-"))
    database = Database(folder, mysql=MYSQL, more=f"""default-authentication-plugin=mysql_native_password
lc-messages-dir={MYSQL}/share
plugin-dir={MYSQL}/lib/plugin
mysqlx=OFF""").start()
    yield database
    database.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def with_oracles_client(tmp_path_factory):
    """tarn-projector, linked with Oracle's client library."""
    folder = tmp_path_factory.mktemp("oracle")
    session, program = folder / "mysql_session.o", folder / "tarn-projector"
    # Ahead of the archive, whose own is left out.
    for command in (["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-D_GNU_SOURCE", "-I.",
                     "-isystem", MYSQL / "include", "-c", "-o", session, "projector/mysql_session.c"],
                    ["-o", program, BUILD / "obj/projector/main.o", session, BUILD / "libprojector.a",
                     BUILD / "libruntime.a", BUILD / "libschema.a", f"-L{MYSQL}/lib", f"-Wl,-rpath,{MYSQL}/lib",
                     "-lmysqlclient", *LIBRARIES]):
        done = subprocess.run(["gcc", *command], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    assert f"{MYSQL}/lib/libmysqlclient.so" in linked and "libmariadb" not in linked
    return program


@pytest.fixture(params=["mariadb", "oracle"])
def program(request):
    if request.param == "mariadb":
        return BUILD / "tarn-projector"
    if FLAVOUR != "release":
        pytest.skip("linked of the release's objects")
    return request.getfixturevalue("with_oracles_client")


def test_a_race_and_a_first_load_on_mysql_8(program, mysql, kafka, new_topic, programs, log_of):
    topic = new_topic("all", 2)
    make_race(mysql, 8)
    mysql.run((EXAMPLE_FOLDER / "lender/tables.sql").read_text())
    mysql.run("INSERT INTO lenders VALUES ('a', '한글 😀'), ('b', 'B'), ('c', 'C')")
    relay = programs.relay(mysql, kafka, topic, program=program, env={"TARN_DATABASE_TLS": "required"}, flags=[
        "--schema", EXAMPLES, "--first-load", "lenders", "--first-load-chunk", "2", "--batch-rows", "7", "--poll", "1ms"])
    threads, committed = race(mysql, 6, 60, 8, seed=4)
    for thread in threads:
        thread.join()
    records = log_of(topic).read(lambda records: len(records) == sum(committed) + 3, 60)
    wait_empty(mysql, relay)
    for key, versions in versions_by_key([r for r in records if "id" in r.headers]).items():
        assert versions == list(range(1, len(versions) + 1)), key
    assert sorted(r.key for r in records if "first-load" in r.headers) == [b"a", b"b", b"c"]


def test_an_open_transaction_stops_no_delete_on_mysql_8(mysql, kafka, new_topic, programs):
    assert relay_command(mysql, "--init").status == 0
    held = mysql.session()
    held.do("START TRANSACTION; INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('t', 'h', 'x.v1.Y', '')")
    insert(mysql, *((f"k{i}", None, "x.v1.Y", b"1") for i in range(20)))
    programs.relay(mysql, kafka, new_topic("all"))
    wait_until(lambda: mysql.value("SELECT COUNT(*) FROM outbox") == "0", "deletes beside an open transaction", 10)
    held.do("ROLLBACK")
    held.close()
