#!/usr/bin/env bash
# Starts a carelake job on Spark. `./spark-submit.sh --help` says how.
#
# In client mode the job's Python is the process itself (exec) and starts the JVM with `spark-submit … pyspark-shell`:
# signals reach the job while its JVM still answers, the job's exit code is ours, a wrong option costs no JVM start,
# and a JVM never outlives its job. With --deploy-mode cluster the job goes to spark-submit as a file.

DELTA=io.delta:delta-spark_4.2_2.13:4.4.0
SPARK_VERSION=4.2
SCALA_VERSION=2.13
JOBS="pipeline to_bronze to_silver to_gold train score models stream quality maintain export erase report generate"

unset CDPATH
self=${BASH_SOURCE[0]}
while [ -L "$self" ]; do
    folder=$(cd -P -- "$(dirname -- "$self")" && pwd)
    self=$(readlink -- "$self")
    case $self in /*) ;; *) self=$folder/$self ;; esac
done
ROOT=$(cd -P -- "$(dirname -- "$self")" && pwd)
VENV=$ROOT/.venv
VENDOR=$ROOT/vendor # in what `make bundle` packs: wheels, jars, and the version of Python that the wheels are for
CACHE=${CARELAKE_CACHE:-$VENV}
case $CACHE in /*) ;; *) CACHE=$PWD/$CACHE ;; esac

say() { printf '%s\n' "$*" >&2; }
die() { # code, sentence
    local code=$1
    shift
    say "spark-submit.sh: $*"
    exit "$code"
}

usage() {
    cat <<'EOF'
usage: ./spark-submit.sh [spark-submit options] JOB [job options]
       ./spark-submit.sh JOB --help

Options before JOB go to spark-submit (--master, --deploy-mode, --conf, --driver-memory, --packages ...).
Without --master and SPARK_HOME the job runs on this machine; the first start sets up .venv beside this script.

EOF
    printf 'jobs: %s\n' "$(jobs_here)"
    cat <<'EOF'

       ./spark-submit.sh --prepare [dev]    only set up .venv (dev: with what the tests need)

With a folder vendor/ beside this script (make bundle) the set-up takes packages and jars from there and asks no network.

environment: SPARK_HOME (a Spark 4.2 of your own), PYSPARK_PYTHON, JAVA_HOME, CARELAKE_CACHE (where jars are kept),
CARELAKE_INSTALL=never (install no system package), CARELAKE_DEBUG=1 (show Spark's warnings),
CARELAKE_DRY_RUN=1 (print the command instead of running it)
EOF
}

jobs_here() {
    local job found=""
    for job in $JOBS; do
        [ -f "$ROOT/jobs/$job.py" ] && found="$found $job"
    done
    printf '%s' "${found# }"
}

# --- what the machine has -------------------------------------------------------------------------------------------

use_utf8() { # Java and Python read file names by the locale
    local name
    [ "$(locale charmap 2>/dev/null)" = UTF-8 ] && return
    for name in C.UTF-8 C.utf8 en_US.UTF-8; do
        if [ "$(LC_ALL=$name locale charmap 2>/dev/null)" = UTF-8 ]; then
            export LC_ALL=$name
            return
        fi
    done
}

may_install() { [ "${CARELAKE_INSTALL:-}" != never ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_install() { # the first of these packages that exists
    local package
    apt-get update -qq >/dev/null 2>&1 </dev/null
    for package in "$@"; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" \
                >/dev/null 2>&1 </dev/null
            return
        fi
    done
    return 1
}

JAVA= JAVA_VERSION=
java_major() { # 17 of 17.0.15, 8 of 1.8.0
    local version=${JAVA_VERSION#1.}
    printf '%s' "${version%%[!0-9]*}"
}

find_java() {
    JAVA= JAVA_VERSION=
    if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then
        JAVA=$JAVA_HOME/bin/java
    else
        JAVA=$(command -v java) || true
    fi
    [ -n "$JAVA" ] || return 1
    JAVA_VERSION=$("$JAVA" -version 2>&1 | sed -n 's/^.* version "\([0-9][0-9A-Za-z._+-]*\)".*/\1/p' | sed -n 1p)
    [ -n "$JAVA_VERSION" ]
}

need_user_name() { # Hadoop refuses to start for a number alone, as containers may have it
    id -un >/dev/null 2>&1 || die 10 "the user $(id -u) has no name on this machine and Spark asks for one:" \
        "add the user to /etc/passwd, or start as another."
}

need_java() { # local or cluster
    if ! find_java && [ "$1" = local ] && [ -z "${CARELAKE_DRY_RUN:-}" ] && may_install; then
        say "No Java found: installing a Java runtime with apt ..."
        apt_install openjdk-17-jre-headless openjdk-21-jre-headless openjdk-25-jre-headless || true
    fi
    find_java || die 10 "Java 17 or newer is needed and none was found:" \
        "install one (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) or set JAVA_HOME."
    [ "$(java_major)" -ge 17 ] || die 10 "Java 17 or newer is needed, $JAVA is Java $(java_major):" \
        "install one (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) or set JAVA_HOME."
}

is_python() { # command, least minor version, greatest
    "$1" -c "import sys; sys.exit(not $2 <= sys.version_info[1] <= ${3:-99} or sys.version_info[0] != 3)" >/dev/null 2>&1
}

PYTHON=
need_python() { # least minor version, greatest
    local name
    for name in "${PYSPARK_DRIVER_PYTHON:-}" "${PYSPARK_PYTHON:-}" \
        python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do
        if [ -n "$name" ] && is_python "$name" "$@"; then
            PYTHON=$name
            return
        fi
    done
    [ $# = 1 ] || die 10 "Python 3.$1 is needed and none was found: the packages in $VENDOR are for that version;" \
        "install it, or run make bundle with the Python of this machine."
    die 10 "Python 3.$1 or newer is needed and none was found:" \
        "install one (Debian, Ubuntu: apt-get install python3 python3-venv)."
}

driver_memory() { # 40 % of what this machine or container has, 1 to 8 GiB
    local mib limit file
    mib=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null)
    [ -n "$mib" ] || mib=$(($(sysctl -n hw.memsize 2>/dev/null || echo 4294967296) / 1048576))
    for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
        limit=$(cat "$file" 2>/dev/null) || continue
        case $limit in *[!0-9]* | '') continue ;; esac
        limit=$((limit / 1048576))
        [ "$limit" -gt 0 ] && [ "$limit" -lt "$mib" ] && mib=$limit
    done
    mib=$((mib * 2 / 5))
    [ "$mib" -lt 1024 ] && mib=1024
    [ "$mib" -gt 8192 ] && mib=8192
    printf '%sm' "$mib"
}

# --- setting up .venv and Delta's jars ------------------------------------------------------------------------------

locks() { # core or dev: the files that decide what .venv holds
    cat "$ROOT/pyproject.toml" "$ROOT/requirements.lock"
    [ "$1" = core ] || cat "$ROOT/requirements-dev.lock"
}

stamped() { locks "$1" | cmp -s - "$VENV/.stamp-$1"; }

prepared() { # core or dev
    [ -x "$VENV/bin/python" ] && [ ! -e "$VENV/.unfinished" ] && { stamped "$1" || { [ "$1" = core ] && stamped dev; }; }
}

have_jars() { [ -e "$VENV/jars/.$DELTA" ]; }

locked() { # function and arguments, one process of this checkout at a time
    exec 9<"$ROOT"
    if ! "$PYTHON" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null; then
        say "Another start is setting up $VENV: waiting for it ..."
        "$PYTHON" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
    fi
    "$@"
    exec 9<&-
}

install_venv() { # core or dev
    local file=requirements.lock log=$VENV/install.log from=() remedy="check the network and start again."
    prepared "$1" && return
    [ "$1" = core ] && [ ! -e "$VENV/.stamp-dev" ] || file=requirements-dev.lock
    if [ -d "$VENDOR/wheels" ]; then
        from=(--find-links "$VENDOR/wheels")
        if [ $file = requirements.lock ]; then # what the tests need is not in a bundle
            from+=(--no-index)
            remedy="the bundle is damaged, or of another system or processor: run make bundle on a machine like this one."
        fi
    fi
    mkdir -p "$VENV" 2>/dev/null
    [ -w "$VENV" ] || die 10 "cannot write $VENV: run ./spark-submit.sh --prepare once as the owner of $ROOT," \
        "or work in a copy of the checkout that is your own."
    say "Setting up $VENV (once, a few minutes) ..."
    if [ -e "$VENV/.unfinished" ] || [ ! -x "$VENV/bin/python" ]; then # an interrupted set-up begins anew
        touch "$VENV/.unfinished"
        find "$VENV" -mindepth 1 -maxdepth 1 ! -name .unfinished ! -name ivy ! -name jars -exec rm -rf {} +
        if ! "$PYTHON" -c 'import ensurepip' 2>/dev/null && may_install; then
            say "Python's venv module is missing: installing python3-venv with apt ..."
            apt_install python3-venv || true
        fi
        "$PYTHON" -m venv "$VENV" >"$log" 2>&1 ||
            die 10 "cannot make $VENV (see $log): install Python's venv module (Debian, Ubuntu: apt-get install python3-venv)."
    fi
    touch "$VENV/.unfinished"
    rm -f "$VENV/.stamp-core" "$VENV/.stamp-dev" "$VENV/"classes-*
    (cd "$ROOT" && "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
        ${from[@]+"${from[@]}"} -r "$file") >"$log" 2>&1 </dev/null ||
        die 10 "cannot install the packages of $file (see $log): $remedy"
    locks core >"$VENV/.stamp-core"
    [ $file = requirements.lock ] || locks dev >"$VENV/.stamp-dev"
    rm -f "$VENV/.unfinished"
}

bundled_jars() { # whether vendor/ has the Delta that this version of carelake asks for
    local jar=${DELTA/:/_}
    [ -e "$VENDOR/jars/${jar/:/-}.jar" ]
}

fetch_jars() { # Delta's jars and what Spark lacks of theirs, once, into .venv/jars
    have_jars && return
    mkdir -p "$VENV/jars.new" || die 10 "cannot write $VENV."
    rm -f "$VENV/jars.new/"*
    if bundled_jars; then
        cp "$VENDOR/jars/"*.jar "$VENV/jars.new/" || die 10 "cannot write $VENV."
    else
        resolve_jars
    fi
    rm -rf "$VENV/jars"
    touch "$VENV/jars.new/.$DELTA"
    mv "$VENV/jars.new" "$VENV/jars" || die 10 "cannot write $VENV."
}

resolve_jars() { # with Spark's own Ivy, into .venv/jars.new
    local jar name artifact log=$CACHE/ivy.log
    say "Fetching Delta's jars (once) ..."
    mkdir -p "$CACHE/ivy" || die 10 "cannot write $CACHE: make it writable or set CARELAKE_CACHE."
    : >"$CACHE/nothing.py"
    # user.home: a POM without its jar in ~/.m2 would break the resolution
    SPARK_HOME=$SPARK JAVA_HOME=${JAVA%/bin/java} PYSPARK_PYTHON=$PYTHON PYSPARK_DRIVER_PYTHON=$PYTHON \
        SPARK_SUBMIT_OPTS="\"-Duser.home=$CACHE/ivy\" \"-Djava.io.tmpdir=$CACHE/ivy\" -XX:-UsePerfData" \
        "$SPARK/bin/spark-submit" --master 'local[1]' --conf "spark.jars.ivy=$CACHE/ivy" --packages "$DELTA" \
        ${repositories[@]+"${repositories[@]}"} "$CACHE/nothing.py" >"$log" 2>&1 </dev/null
    ls "$CACHE/ivy/jars/"*_delta-spark_*.jar >/dev/null 2>&1 ||
        die 10 "cannot fetch Delta's jars ($DELTA; see $log): check the network and start again."
    for jar in "$CACHE/ivy/jars/"*.jar; do
        name=${jar##*/}
        artifact=$(printf '%s' "${name#*_}" | sed -E 's/-[0-9][0-9A-Za-z.]*(-[0-9]+)?\.jar$//')
        ls "$SPARK/jars/$artifact"-[0-9]*.jar >/dev/null 2>&1 || cp "$jar" "$VENV/jars.new/" || die 10 "cannot write $VENV."
    done
}

class_archive() { printf '%s' "$VENV/classes-$JAVA_VERSION.jsa"; }

archive_classes() { # Spark's classes as this Java has read and verified them, so that every start is some seconds shorter
    local archive log=$CACHE/archive.log
    archive=$(class_archive)
    [ ! -e "$archive" ] || return 0
    { : >"$archive"; } 2>/dev/null || return 0 # stays empty when this fails: starts are then as slow as without
    say "Archiving Spark's classes for this Java (once, some 50 seconds) ..."
    # The JVM writes at its end, after the job's: this waits until nobody holds the pipe.
    "$ROOT/spark-submit.sh" --driver-java-options "$(jvm_option "-XX:ArchiveClassesAtExit=$archive.new")" \
        to_bronze --lake "$CACHE/archive-lake" --source "enrollment=$ROOT/sample/enrollment" 2>&1 </dev/null 9<&- | cat >"$log"
    rm -rf "$CACHE/archive-lake"
    # A cut archive, as a full disk leaves it, would crash every JVM.
    if [ -s "$archive.new" ] &&
        "$JAVA" "-XX:SharedArchiveFile=$archive.new" -XX:ErrorFile="$log" -version >/dev/null 2>&1; then
        chmod a+r "$archive.new" # a job writes for its user alone; this is for every user of the checkout
        mv -f "$archive.new" "$archive"
    else
        rm -f "$archive.new"
    fi
}

own_spark() { # the Spark of .venv
    local folder
    for folder in "$VENV"/lib/python3.*/site-packages/pyspark; do
        SPARK=$folder
    done
}

set_up() { # core or dev
    install_venv "$1"
    PYTHON=$VENV/bin/python
    own_spark
    fetch_jars
    archive_classes
}

prepare() { # core or dev
    local minor
    if prepared "$1" && have_jars && [ -e "$(class_archive)" ]; then
        PYTHON=$VENV/bin/python
        own_spark
        return
    fi
    if [ "$1" = dev ]; then
        need_python 11
    elif [ -r "$VENDOR/python" ]; then
        minor=$(sed 's/^3\.//' "$VENDOR/python")
        need_python "$minor" "$minor"
    else
        need_python 10
    fi
    locked set_up "$1"
}

# --- small tools ----------------------------------------------------------------------------------------------------

uri() { # file: URI of a path, for those who split at commas and read blanks, % and # as URIs do
    local LC_ALL=C path=$1 out="" c i
    for ((i = 0; i < ${#path}; i++)); do
        c=${path:i:1}
        case $c in
            [a-zA-Z0-9/._~-]) out+=$c ;;
            *) out+=$(printf '%%%02X' "$(($(printf '%d' "'$c") & 255))") ;;
        esac
    done
    printf 'file://%s' "$out"
}

quoted() { # each argument in single quotes, for a shell or shlex
    local word
    for word in "$@"; do
        printf "'%s' " "${word//\'/\'\\\'\'}"
    done
}

jvm_option() { # one option in a list that Spark splits as a shell would
    local word=${1//\\/\\\\}
    printf '"%s"' "${word//\"/\\\"}"
}

properties() { # "key value" lines of a properties file
    sed -E -e '/^[[:space:]]*([#!]|$)/d' -e 's/^[[:space:]]+//' -e 's/[[:space:]]+$//' \
        -e 's/^([^[:space:]=:]+)[[:space:]]*[=:]?[[:space:]]*/\1 /' "$1"
}

property() { # file, key
    properties "$1" | awk -v key="$2" '$1 == key { sub(/^[^ ]+ ?/, ""); value = $0 } END { print value }'
}

joined() { # lists separated by commas, empty ones left out
    local list out=""
    for list in "$@"; do
        [ -z "$list" ] || out=$out,$list
    done
    printf '%s' "${out#,}"
}

zipped() { # zip file, folder, names in it: made anew and put in place at once
    local target=$1 folder=$2
    shift 2
    mkdir -p "$CACHE" && "$PYTHON" - "$target" "$folder" "$@" <<'EOF'
import os, sys, zipfile
from pathlib import Path
target, folder, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
draft = target.with_name(f"{target.name}.{os.getpid()}")
with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as out:
    for name in names:
        for path in sorted((folder / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                out.write(path, path.relative_to(folder))
draft.replace(target)
EOF
}

quiet_java() { # a JAVA_HOME whose java leaves out the line about the incubator module that Spark asks for
    local home=$CACHE/java
    if [ ! -x "$home/bin/java" ]; then
        mkdir -p "$home/bin" 2>/dev/null || return
        cat >"$home/bin/java.$$" <<'EOF' || return
#!/usr/bin/env bash
exec "$CARELAKE_JAVA" "$@" 2> >(trap '' INT; exec grep --line-buffered -v '^WARNING: Using incubator modules' >&2)
EOF
        chmod +x "$home/bin/java.$$" && mv "$home/bin/java.$$" "$home/bin/java"
    fi 2>/dev/null
    export CARELAKE_JAVA=$JAVA JAVA_HOME=$home
}

# --- the command line -----------------------------------------------------------------------------------------------

given=() repositories=()                         # spark-submit's options as given; those that say where jars are
jars="" class_path="" packages="" py_files="" archives="" # lists that ours are added to
master="" deploy_mode="" user_properties="" memory=""
set_option() { # option, value: what we must know of, or add to; 1 for all others
    case $1 in
        --master) master=$2 ;;
        --deploy-mode) deploy_mode=$2 ;;
        --properties-file) user_properties=$2 ;;
        --driver-memory) memory=$2 ;;
        --repositories) repositories+=("$1" "$2") ;;
        --jars) jars=$2 && return 0 ;;
        --driver-class-path) class_path=$2 && return 0 ;;
        --packages) packages=$2 && return 0 ;;
        --py-files) py_files=$2 && return 0 ;;
        --archives) archives=$2 && return 0 ;;
        --conf | -c)
            case $2 in
                spark.master=*) master=${2#*=} ;;
                spark.submit.deployMode=*) deploy_mode=${2#*=} ;;
                spark.driver.memory=*) memory=${2#*=} ;;
                spark.jars.repositories=* | spark.jars.ivySettings=*) repositories+=(--conf "$2") ;;
                spark.driver.extraClassPath=*) class_path=${2#*=} && return 0 ;;
                spark.jars=*) jars=${2#*=} && return 0 ;;
                spark.jars.packages=*) packages=${2#*=} && return 0 ;;
                spark.submit.pyFiles=*) py_files=${2#*=} && return 0 ;;
                spark.archives=*) archives=${2#*=} && return 0 ;;
            esac
            ;;
    esac
    return 1
}

if [ "${1:-}" = --prepare ]; then
    case ${2:-core} in core | dev) ;; *) die 2 "--prepare takes 'dev' or nothing." ;; esac
    use_utf8
    need_user_name
    need_java local
    if [ "${2:-}" = dev ] && may_install &&
        ! { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then
        say "No Chromium found: installing it with apt for the browser tests ..."
        apt_install chromium || say "No Chromium could be installed: the browser tests will be skipped."
    fi
    prepare "${2:-core}"
    exit 0
fi

job=""
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --class | --conf | -c | --deploy-mode | --driver-class-path | --driver-default-class-path | --driver-cores | \
            --driver-java-options | --driver-library-path | --driver-memory | --executor-memory | --executor-cores | \
            --extra-properties-file | --files | --jars | --keytab | --master | --name | --num-executors | --packages | \
            --exclude-packages | --principal | --properties-file | --proxy-user | --py-files | --queue | --remote | \
            --repositories | --total-executor-cores | --archives)
            [ $# -ge 2 ] || die 2 "$1 needs a value (see ./spark-submit.sh --help)."
            set_option "$1" "$2" || given+=("$1" "$2")
            shift 2
            ;;
        --supervise | --verbose | -v | --load-spark-defaults)
            given+=("$1")
            shift
            ;;
        --*=*)
            set_option "${1%%=*}" "${1#*=}" || given+=("$1")
            shift
            ;;
        -*) die 2 "$1 is no option of spark-submit; options of the job come after its name (see ./spark-submit.sh --help)." ;;
        *)
            job=$1
            shift
            break
            ;;
    esac
done
[ -n "$job" ] || die 2 "which job? One of: $(jobs_here) (see ./spark-submit.sh --help)."
case " $(jobs_here) " in
    *" $job "*) ;;
    *) die 2 "there is no job '$job'; the jobs are: $(jobs_here)." ;;
esac
[ -z "$user_properties" ] || [ -r "$user_properties" ] || die 10 "--properties-file $user_properties cannot be read: give a file."

lake=./lake previous=""
for word in "$@"; do
    [ "$previous" = --lake ] && lake=$word
    case $word in --lake=*) lake=${word#--lake=} ;; esac
    previous=$word
done
case $lake in
    file:///*) lake=${lake#file://} ;;
    file:/*) lake=${lake#file:} ;;
    *://*) lake="" ;; # not on this machine
esac
case $lake in '' | /*) ;; *) lake=$PWD/${lake#./} ;; esac

# --- Spark, Java, Python --------------------------------------------------------------------------------------------

use_utf8
defaults="" own=yes
if [ -n "${SPARK_HOME:-}" ]; then
    own=no
    SPARK=$SPARK_HOME
    core=""
    for file in "$SPARK"/jars/spark-core_*.jar; do
        [ -e "$file" ] && core=${file##*/}
    done
    [ -n "$core" ] || die 10 "SPARK_HOME=$SPARK holds no Spark: point it to a Spark $SPARK_VERSION with Scala $SCALA_VERSION, or unset it."
    case $core in
        spark-core_$SCALA_VERSION-$SPARK_VERSION.*) ;;
        *) die 10 "SPARK_HOME=$SPARK is another Spark ($core): carelake needs Spark $SPARK_VERSION with Scala $SCALA_VERSION; unset SPARK_HOME to let it bring its own." ;;
    esac
    [ -r "${SPARK_CONF_DIR:-$SPARK/conf}/spark-defaults.conf" ] && defaults=${SPARK_CONF_DIR:-$SPARK/conf}/spark-defaults.conf
fi
for file in "$user_properties" "$defaults"; do
    if [ -n "$file" ]; then
        [ -n "$master" ] || master=$(property "$file" spark.master)
        [ -n "$deploy_mode" ] || deploy_mode=$(property "$file" spark.submit.deployMode)
        [ -n "$memory" ] || memory=$(property "$file" spark.driver.memory)
    fi
done
case ${master:-local} in
    local*) place=local deploy_mode=client ;;
    *) place=cluster deploy_mode=${deploy_mode:-client} ;;
esac
conf=$ROOT/conf/spark/$place.conf

need_user_name
need_java $place
if [ $own = no ]; then
    if [ -z "${PYSPARK_DRIVER_PYTHON:-}${PYSPARK_PYTHON:-}" ] && [ -x "$VENV/bin/python" ]; then
        PYTHON=$VENV/bin/python
    else
        need_python 10
    fi
    if [ -z "${CARELAKE_DRY_RUN:-}" ] && [ "$deploy_mode" = client ]; then
        missing=$("$PYTHON" -c 'from importlib.util import find_spec as f
print(*(m for m in ("yaml", "orjson", "numpy", "pandas", "pyarrow", "matplotlib", "delta", "mlflow") if not f(m)), sep=", ")')
        [ -z "$missing" ] || die 10 "the Python $PYTHON lacks $missing: run ./spark-submit.sh --prepare once," \
            "or set PYSPARK_PYTHON to a Python that has the packages of requirements.lock."
        have_jars || ls "$SPARK"/jars/delta-spark_*.jar >/dev/null 2>&1 || locked fetch_jars
    fi
elif [ -n "${CARELAKE_DRY_RUN:-}" ]; then
    need_python 10
    PYTHON=$VENV/bin/python
    own_spark
else
    prepare core
fi

# --- what spark-submit gets: ours first, so that the user's wins ----------------------------------------------------

args=()
jvm=$(property "$conf" spark.driver.defaultJavaOptions)
if [ -z "$user_properties" ]; then
    args+=(--properties-file "$conf")
else # the user's file wins line by line, ours fills the rest
    while read -r key value; do
        [ -n "$(property "$user_properties" "$key")" ] || args+=(--conf "$key=$value")
    done < <(properties "$conf")
fi
[ -z "$defaults" ] || args+=(--load-spark-defaults)

if [ "$deploy_mode" = client ]; then
    [ -n "$memory" ] || args+=(--driver-memory "$(driver_memory)")
    jvm="$jvm $(jvm_option "-Dlog4j2.configurationFile=$(uri "$ROOT/conf/log4j2.properties")")"
    [ -z "${CARELAKE_DEBUG:-}" ] || jvm="$jvm -Dcarelake.log=warn"
    if [ -n "$lake" ]; then scratch=$lake/.tmp; else scratch=${TMPDIR:-/tmp}/carelake-$(id -u); fi
    jvm="$jvm $(jvm_option "-Dderby.system.home=$scratch") $(jvm_option "-Djava.io.tmpdir=$scratch")"
    # The JVM itself checks that the archive is of this Java and these jars, and does without it otherwise.
    [ $own-$place != yes-local ] || [ ! -s "$(class_archive)" ] ||
        jvm="$jvm $(jvm_option "-XX:SharedArchiveFile=$(class_archive)") -Xlog:cds=off -Xlog:cds+dynamic=off"
    args+=(--conf "spark.driver.defaultJavaOptions=$jvm" --conf "spark.sql.warehouse.dir=$(uri "$scratch/warehouse")")
    case $place:$scratch in
        local:*,*) ;; # Spark reads a comma as a list of folders
        local:*) args+=(--conf "spark.local.dir=$scratch") ;;
    esac
    if ! ls "$SPARK"/jars/delta-spark_*.jar >/dev/null 2>&1; then
        if [ $place = local ]; then # nothing is copied, and any character may stand in the path
            class_path="${class_path:+$class_path:}$VENV/jars/*"
        else
            for file in "$VENV/jars/"*.jar; do
                [ -e "$file" ] && jars=$(joined "$jars" "$file")
            done
        fi
    fi
elif ls "$SPARK"/jars/delta-spark_*.jar >/dev/null 2>&1; then
    : # Spark has them
elif bundled_jars; then
    for file in "$VENDOR/jars/"*.jar; do
        jars=$(joined "$jars" "$file")
    done
else
    packages=$(joined "$packages" "$DELTA")
    args+=(--conf "spark.jars.ivy=$CACHE/ivy")
fi

case $master in # a cluster of this machine alone: nothing listens beyond it, and no host name has to resolve
    spark://127.0.0.1:* | spark://localhost:*) export SPARK_LOCAL_IP=${SPARK_LOCAL_IP:-127.0.0.1} ;;
esac
if [ "$place" = cluster ]; then
    [ -n "${CARELAKE_DRY_RUN:-}" ] || zipped "$CACHE/carelake.zip" "$ROOT/lib" carelake ||
        die 10 "cannot write $CACHE/carelake.zip: make it writable or set CARELAKE_CACHE."
    py_files=$(joined "$py_files" "$CACHE/carelake.zip")
    if [ -z "${PYSPARK_PYTHON:-}" ] && [ -f "$ROOT/dist/env.tar.gz" ]; then
        archives=$(joined "$archives" "$ROOT/dist/env.tar.gz#environment")
        export PYSPARK_PYTHON=./environment/bin/python
    fi
    if [ "$deploy_mode" = cluster ]; then # the driver finds conf/ and the package's data files beside it
        [ -n "${CARELAKE_DRY_RUN:-}" ] || zipped "$CACHE/home.zip" "$ROOT" lib conf ||
            die 10 "cannot write $CACHE/home.zip: make it writable or set CARELAKE_CACHE."
        archives=$(joined "$archives" "$CACHE/home.zip#carelake-home")
        for file in spark.yarn.appMasterEnv spark.kubernetes.driverEnv; do
            args+=(--conf "$file.CARELAKE_HOME=./carelake-home" --conf "$file.PYTHONPATH=./carelake-home/lib")
        done
        [ -z "${PYSPARK_PYTHON:-}" ] || args+=(--conf "spark.pyspark.python=$PYSPARK_PYTHON")
    fi
fi
[ -z "$class_path" ] || args+=(--driver-class-path "$class_path")
[ -z "$jars" ] || args+=(--jars "$jars")
[ -z "$packages" ] || args+=(--packages "$packages")
[ -z "$py_files" ] || args+=(--py-files "$py_files")
[ -z "$archives" ] || args+=(--archives "$archives")
args+=(${given[@]+"${given[@]}"})

# --- start ----------------------------------------------------------------------------------------------------------

python_path=$ROOT/lib
if [ $own = no ]; then
    for file in "$SPARK"/python/lib/pyspark.zip "$SPARK"/python/lib/py4j-*-src.zip; do
        [ -e "$file" ] && python_path=$python_path:$file
    done
fi
export SPARK_HOME=$SPARK PYTHONPATH=$python_path${PYTHONPATH:+:$PYTHONPATH} CARELAKE_HOME=$ROOT
export PYTHONHASHSEED=0 TZ=UTC                               # as spark-submit does; as the JVM has it
export MLFLOW_DISABLE_TELEMETRY=true GIT_PYTHON_REFRESH=quiet # nothing is sent from here; git may be missing
export MPLCONFIGDIR=$CACHE/matplotlib XDG_CACHE_HOME=$CACHE   # not in the home folder; the second is fontconfig's
if [ "$deploy_mode" = client ]; then
    if [ $own-$place = yes-local ] || [ -z "${PYSPARK_PYTHON:-}" ]; then
        PYSPARK_PYTHON=$PYTHON
    fi
    export PYSPARK_PYTHON CARELAKE_TMP=$scratch TMPDIR=$scratch
    [ -w "$CACHE" ] || export MPLCONFIGDIR=$scratch/matplotlib XDG_CACHE_HOME=$scratch # a checkout of somebody else
    [ -n "$lake" ] || (umask 077 && mkdir -p "$scratch" 2>/dev/null)
    PYSPARK_SUBMIT_ARGS="$(quoted "${args[@]}")pyspark-shell"
    export PYSPARK_SUBMIT_ARGS
    command=("$PYTHON" "$ROOT/jobs/$job.py" "$@")
else
    command=("$SPARK/bin/spark-submit" "${args[@]}" "$ROOT/jobs/$job.py" "$@")
fi
if [ -n "${CARELAKE_DRY_RUN:-}" ]; then
    for file in SPARK_HOME PYTHONPATH PYSPARK_PYTHON CARELAKE_HOME CARELAKE_TMP TMPDIR LC_ALL PYSPARK_SUBMIT_ARGS; do
        [ -z "${!file:-}" ] || quoted "$file=${!file}"
    done
    quoted "${command[@]}"
    echo
    exit 0
fi
quiet_java
exec "${command[@]}"
