# The sources of the Debian packages whose own tests we run (tests/programs/own_tests.py), from Debian's archive by
# `apt-get source`, into the build directory. The machine's apt configuration stays as it is: a list of sources of our
# own, with the same mirror and Debian's key, is used beside it. Without an answer those tests are skipped, and say so.

# PACKAGE | WHAT IS KEPT OF IT
source_packages=(
  "busybox | testsuite debian/config/pkg/static"
  "perl | t"
)

dev_sources() {
  local sources line missing=()
  sources=$(realpath -m "$build_dir/sources")
  for line in "${source_packages[@]}"; do
    [[ -d $sources/${line%% |*} ]] || missing+=("$line")
  done
  [[ ${#missing[@]} == 0 ]] && return
  say "fetching the sources of ${missing[*]%% |*}, for their own tests"
  mkdir -p "$sources"
  fetch_sources >&2 </dev/null || say "the sources did not come: the tests that they bring will be skipped"
  rm -rf "$sources/.fetch"
}

# Downloads what apt verifies, unpacks it and keeps what is needed. A package is there as a whole or not at all.
fetch_sources() (
  local work=$sources/.fetch mirror line name
  rm -rf "$work"
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  cd "$work" || exit 1
  # shellcheck disable=SC2016 # apt-get's own placeholders
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Origin: Debian" "Component: main" "Codename: $(codename)" | head -1)
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $(codename) main" >sources.list
  local apt=(apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/lists"
    -o Dir::Cache="$work/cache" -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 -o Acquire::http::Timeout=20)
  "${apt[@]}" update || exit 1
  for line in "${missing[@]}"; do
    name=${line%% |*}
    "${apt[@]}" source --download-only "$name" || exit 1
    dpkg-source -q --no-check -x "$name"_*.dsc "$name" || exit 1 # apt has checked it
    mkdir "kept.$name"
    # shellcheck disable=SC2086 # words
    (cd "$name" && cp -a --parents ${line#*| } "../kept.$name") || exit 1
    mv "kept.$name" "$sources/$name"
  done
)

codename() {
  (. /etc/os-release && echo "$VERSION_CODENAME")
}
