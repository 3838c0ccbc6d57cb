# ./dev setup: installs the packages of packages.txt that are missing. Nothing is asked, nothing but Debian's own
# packages is used, and no service that a package brings is started.

package_list=$root/dev.d/packages.txt

packages() {
  sed -n 's/^\([a-z0-9][^ |]*\) *|.*/\1/p' "$package_list"
}

missing_packages() {
  # dpkg-query names what it does not know on stderr and fails: that is the answer, not an error.
  comm -23 <(packages | sort -u) \
    <(packages | xargs dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null |
      sed -n 's/^installed //p' | sort -u)
}

packages_table() {
  printf '| package | used by | for |\n|---|---|---|\n'
  sed -n 's/^\([a-z0-9][^|]*[^ |]\) *| *\([^|]*[^ |]\) *| *\(.*\)$/| `\1` | \2 | \3 |/p' "$package_list"
}

# Debian's convention: while this file exists and exits 101, packages do not start their services. One that is
# already there is the administrator's, and is left as it is.
policy=/usr/sbin/policy-rc.d
made_policy=
forbid_services() {
  [[ -e $policy ]] && return
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  made_policy=1
  $as_root chmod 755 "$policy"
}
allow_services() {
  [[ -n $made_policy ]] && $as_root rm -f "$policy"
  made_policy=
}

become_root() {
  as_root=
  [[ $(id -u) == 0 ]] && return
  command -v sudo >/dev/null || fail "packages are missing (${missing[*]}): run './dev setup' once as root"
  as_root=sudo
}

dev_setup() {
  if [[ ${1:-} == --table ]]; then
    packages_table
    return
  fi
  [[ -n ${OCCLUM_NO_SETUP:-} ]] && return
  install_packages
  [[ $command != setup ]] || need sources
}

install_packages() {
  command -v dpkg-query >/dev/null || fail "this is not Debian: install what dev.d/packages.txt lists by hand" \
    "and set OCCLUM_NO_SETUP=1"
  local missing
  mapfile -t missing < <(missing_packages)
  [[ ${#missing[@]} == 0 ]] && return

  become_root
  say "installing ${#missing[@]} packages: ${missing[*]}"
  trap allow_services EXIT
  forbid_services
  export DEBIAN_FRONTEND=noninteractive
  local apt=($as_root apt-get -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
  # A stale list of packages names versions that are gone, so it is always refreshed; an unreachable foreign source
  # does not matter as long as Debian's own answers.
  "${apt[@]}" update -q >&2 || say "some package sources did not answer; going on with those that did"
  "${apt[@]}" install -q -y --no-install-recommends "${missing[@]}" >&2 </dev/null ||
    fail "apt-get could not install ${missing[*]}: see its message above, check that Debian's packages are" \
      "reachable, and run './dev setup' again"
  allow_services
  trap - EXIT
  mapfile -t missing < <(missing_packages)
  [[ ${#missing[@]} == 0 ]] || fail "still missing after the installation: ${missing[*]}"
  say "setup is complete"
}
