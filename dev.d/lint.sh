# ./dev lint: the rules of docs/coding.md that a compiler does not enforce; dev.d/lint/ has one file per check.

dev_lint() {
  need setup
  # clang-tidy wants compile_commands.json and generated headers, the image scan wants the image.
  if [[ " $* " != *' --no-build '* ]]; then
    need build
  fi
  exec "$python" "$root/dev.d/lint/lint.py" --build-dir "$build_dir" --jobs "$jobs" "$@"
}
