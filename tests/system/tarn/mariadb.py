"""MariaDB, and MySQL where it was put: a server in a folder and on a port of its own, and SQL through its own client.

There is no Python driver: the client program is what the server's package brings, and statements of a test are few. A
`Session` is one connection that stays: transactions are held open with it."""

import os
import pathlib
import shutil
import subprocess
import threading

from .process import Process, free_port
from .waiting import wait_until

USER, PASSWORD = "tarn", "s3cret/@:"
URL_PASSWORD = "s3cret%2F%40%3A"

CONFIGURATION = """
[mysqld]
datadir={folder}/data
tmpdir={folder}/tmp
socket={folder}/s
port={port}
bind-address=127.0.0.1
pid-file={folder}/pid
skip-name-resolve
character-set-server=utf8mb4
innodb-buffer-pool-size={buffer_pool}
innodb-flush-log-at-trx-commit=1
max-allowed-packet=256M
innodb-log-file-size=256M
{more}
"""


class Database:
    """MariaDB from Debian's package."""

    def __init__(self, folder, buffer_pool="64M", more="", mysql=None):
        """`mysql`: the folder of an Oracle MySQL, instead of MariaDB."""
        self.folder = pathlib.Path(folder)
        self.buffer_pool = buffer_pool
        self.more = more
        self.mysql = mysql
        self.process = None

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        is_new = not (self.folder / "data").exists()
        for attempt in range(3):
            self.port = free_port()
            self._configure()
            if is_new:
                self._install()
                is_new = False
            try:
                self._run()
                break
            except AssertionError:
                if "Address already in use" not in self.process.log() or attempt == 2:
                    raise
        self._sql_as_root(f"""CREATE DATABASE IF NOT EXISTS bank CHARACTER SET utf8mb4;
            CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';
            GRANT ALL ON *.* TO '{USER}'@'%';""")
        return self

    def _configure(self):
        # A server that starts removes what others have in a temporary folder that they share.
        (self.folder / "tmp").mkdir(exist_ok=True)
        (self.folder / "my.cnf").write_text(CONFIGURATION.format(
            folder=self.folder, port=self.port, buffer_pool=self.buffer_pool, more=self.more))

    def _install(self):
        if self.mysql:
            argv = [self.mysql / "bin/mysqld", f"--defaults-file={self.folder}/my.cnf", "--initialize-insecure",
                    *self._as_root()]
        else:
            argv = ["mariadb-install-db", f"--defaults-file={self.folder}/my.cnf", "--auth-root-authentication-method=normal",
                    "--skip-test-db", *self._as_root()]
        done = subprocess.run([str(part) for part in argv], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    @staticmethod
    def _as_root():
        return ["--user=root"] if os.geteuid() == 0 else []

    def _run(self):
        program = self.mysql / "bin/mysqld" if self.mysql else (shutil.which("mariadbd") or "/usr/sbin/mariadbd")
        self.process = Process([program, f"--defaults-file={self.folder}/my.cnf", *self._as_root()],
                               self.folder / "database.log", name="database")
        wait_until(self._answers, "the database", 60, alive=[self.process], poll_s=0.1)

    def _answers(self):
        # Not mariadb-admin: Debian has it in a package that nothing else is needed of.
        done = subprocess.run(["mariadb", "--no-defaults", "-u", "root", "-S", f"{self.folder}/s", "-e", "SELECT 1"],
                              capture_output=True)
        return done.returncode == 0

    def restart(self):
        """On the port that it had, after kill() or stop()."""
        self._run()

    def kill(self):
        self.process.kill()

    def stop(self):
        if self.process:
            self.process.end()

    def url(self, database="bank", user=USER, password=URL_PASSWORD):
        return f"mysql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def _sql_as_root(self, sql):
        self._client(["-u", "root"], sql)

    def _client(self, arguments, sql):
        done = subprocess.run(["mariadb", "--no-defaults", "-S", f"{self.folder}/s", "--default-character-set=utf8mb4",
                               "--batch", "--skip-column-names", "--raw", *arguments], input=sql, capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stderr}\n{sql[:300]}"
        return done.stdout

    def run(self, sql, database="bank"):
        """Statements, autocommitted; the rows of all of them as lists of texts ("NULL" for NULL)."""
        return [line.split("\t") for line in self._client(["-u", "root", database], sql).splitlines()]

    def value(self, sql, database="bank"):
        return self.run(sql, database)[0][0]

    def session(self, database="bank"):
        return Session(self, database)


class Session:
    """One connection of the client program. do() returns when its statements have been carried out."""

    def __init__(self, database, name):
        self.count = 0
        self.child = subprocess.Popen(
            ["mariadb", "--no-defaults", "-S", f"{database.folder}/s", "-u", "root", "--default-character-set=utf8mb4",
             "--batch", "--skip-column-names", "--raw", "--unbuffered", "--force", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.lock = threading.Lock()

    def begin(self, sql):
        """Sends statements without waiting for them; end() waits."""
        self.count += 1
        self.child.stdin.write(f"{sql};\nSELECT 'done {self.count}';\n")
        self.child.stdin.flush()

    def end(self):
        lines = []
        for line in self.child.stdout:
            line = line.rstrip("\n")
            if line == f"done {self.count}":
                errors = [text for text in lines if text.startswith("ERROR ")]
                assert not errors, errors
                return [text.split("\t") for text in lines]
            lines.append(line)
        raise AssertionError(f"the session ended: {lines}")

    def do(self, sql):
        with self.lock:
            self.begin(sql)
            return self.end()

    def close(self):
        if self.child.poll() is None:
            self.child.stdin.close()
            self.child.wait(10)
