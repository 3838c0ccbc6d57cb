# ./dev bench [NAME...]: bench/bench.py measures; see its --help.

dev_bench() {
  case " $* " in
    *' --help '*) exec "$python" "$root/bench/bench.py" --help ;;
  esac
  need build
  exec "$python" "$root/bench/bench.py" --build-dir "$build_dir" "$@"
}
