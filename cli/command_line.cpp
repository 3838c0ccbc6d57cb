#include "cli/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <functional>

#include "cli/commands.h"

namespace cli {
namespace {

constexpr const char* kFooter =
    "Exit status: that of the program; 128+N if signal N ended it; 125 if occlum itself failed;\n"
    "126 and 127 if the program could not be executed or found.\n\n"
    "Environment: SGX_MODE=HW|SIM, OCCLUM_LOG_LEVEL=off|error|warn|info|debug|trace, "
    "OCCLUM_PREFIX.\n"
    "The manual is occlum(1).";

// Shows the program and its arguments behind the options of `run` and `do`, which CLI11 never sees,
// and leaves out the empty lines that CLI11 2.1 puts between groups.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override {
    std::string usage = CLI::Formatter::make_usage(app, name);
    if (!is_start(app->get_name())) return usage;
    while (usage.ends_with('\n')) usage.pop_back();
    return usage + " CMD [ARG...]\n";
  }

  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override {
    std::string help = CLI::Formatter::make_help(app, std::move(name), mode);
    for (size_t gap; (gap = help.find("\n\n\n")) != std::string::npos;) help.erase(gap, 1);
    return help;
  }

  static bool is_start(std::string_view command) { return command == "run" || command == "do"; }
};

class CommandLine {
 public:
  CommandLine() {
    app_.formatter(std::make_shared<HelpFormatter>());
    app_.name("occlum");
    app_.description("Runs Linux programs in Intel SGX enclaves.");
    app_.require_subcommand(1);
    app_.get_help_ptr()->description("Print this help and exit");
    version_flag(app_);
    app_.add_option("-C,--directory", directory_, "Work in the instance DIR")->type_name("DIR");

    CLI::App& make =
        command("new", "Make a new instance in DIR", [this] { return command_new(positional_); });
    make.add_option("DIR", positional_, "Directory to make")->required()->type_name("");
    command("init", "Make the working directory an instance", [] { return command_init(); });
    add_build();
    CLI::App& run = command("run", "Run a program of the instance in its enclave",
                            [this] { return start([this] { return command_run(start_); }); });
    add_start_options(run);
    CLI::App& once =
        command("do", "Run a program of the host in an enclave, without an instance",
                [this] { return start([this] { return command_do(start_, writable_); }); });
    once.add_option("--rw", writable_, "Let the program write below DIR (may be repeated)")
        ->type_name("DIR")
        ->allow_extra_args(false);
    add_start_options(once);
    CLI::App& print = command("print", "Print the identity of the built enclave",
                              [this] { return command_print(positional_, optional(file_)); });
    print.add_option("WHAT", positional_, "mrenclave or mrsigner")
        ->required()
        ->type_name("")
        ->check(one_of({"mrenclave", "mrsigner"}));
    print.add_option("FILE", file_, "An enclave image other than the instance's")->type_name("");
    command("status", "Print whether the instance is initialized, built or running",
            [] { return command_status(); });
    CLI::App& key = command("gen-sign-key", "Make a key for signing enclaves",
                            [this] { return command_gen_sign_key(positional_); });
    key.add_option("FILE", positional_, "File to make")->required()->type_name("");
    for (CLI::App* app : {&app_, &run, &once}) app->footer(kFooter);
  }

  int run(int argc, char** argv) {
    int status = parse_and_act(argc, argv);
    if (fflush(stdout) != 0 && status == 0) {
      return complain(fmt::format("cannot write to stdout: {}", strerror(errno)));
    }
    return status;
  }

 private:
  using Action = std::function<Result<int>()>;

  int parse_and_act(int argc, char** argv) {
    std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
    if (auto split = split_program(words); !split) return complain(split.error());
    // CLI11 takes the words from the back.
    std::ranges::reverse(words);
    try {
      app_.parse(std::move(words));
    } catch (const CLI::Success& success) {
      return app_.exit(success);  // --help and --version
    } catch (const CLI::ParseError& error) {
      return complain(explain(error));
    }
    if (!directory_.empty() && chdir(directory_.c_str()) != 0) {
      return complain(fmt::format("cannot enter {}: {}", directory_, strerror(errno)));
    }
    auto status = action_();
    return status ? *status : complain(status.error());
  }

  static void version_flag(CLI::App& app) {
    app.set_version_flag("--version", "occlum " OCCLUM_VERSION, "Print the version and exit");
  }

  CLI::App& command(const std::string& name, const std::string& description, Action action) {
    CLI::App& sub = *app_.add_subcommand(name, description);
    sub.get_help_ptr()->description("Print this help and exit");
    version_flag(sub);
    sub.callback([this, &sub, action = std::move(action)] {
      current_ = &sub;
      action_ = action;
    });
    return sub;
  }

  static std::optional<std::string> optional(const std::string& text) {
    return text.empty() ? std::nullopt : std::optional(text);
  }

  static CLI::Validator one_of(std::vector<std::string> words) {
    return CLI::Validator(
        [words = std::move(words)](const std::string& word) {
          if (std::ranges::find(words, word) != words.end()) return std::string();
          return fmt::format("it must be {}, not '{}'", fmt::join(words, " or "), word);
        },
        "");
  }

  void add_build() {
    CLI::App& build = command("build", "Build and sign the enclave and the root image",
                              [this] { return command_build(build_); });
    build.add_option("--sign-key", build_.sign_key, "Sign with this RSA-3072 key (PEM)")
        ->type_name("FILE");
    build.add_option("--compression", build_.compression, "Compress the root image: none or lz4")
        ->type_name("NAME")
        ->check(one_of({"none", "lz4"}));
    build.add_flag("-f,--force", build_.force, "Build the root image even if nothing has changed");
    constexpr const char* kOld = "Taken from older scripts";
    build.add_option("--sign-tool", build_.sign_tool, "No effect")->type_name("FILE")->group(kOld);
    build.add_option("--sgx-mode", build_.sgx_mode, "No effect")->type_name("MODE")->group(kOld);
    build.add_option("--enable-edmm", build_.enable_edmm, "No effect")
        ->type_name("Y|N")
        ->group(kOld);
    build.add_option("--image-key", build_.image_key, "Not supported yet")
        ->type_name("FILE")
        ->group(kOld);
    build.add_flag("--buildin-image-key", build_.buildin_image_key, "Not supported yet")
        ->group(kOld);
  }

  void add_start_options(CLI::App& sub) {
    sub.add_flag("-q,--quiet", start_.quiet, "Do not say what this start does not protect");
    sub.add_option("--cpus", start_.cpus, "Use N virtual CPUs (default: as many as there are)")
        ->type_name("N")
        ->check(CLI::Range(1u, 1024u).description(""));
    sub.add_option("--memory", start_.memory, "Use at most SIZE of enclave memory, such as 512MB")
        ->type_name("SIZE");
    constexpr const char* kEmulator = "Software SGX";
    sub.add_option("--cost-model", start_.cost_model, "Add the costs of hardware: off or sgx2")
        ->type_name("NAME")
        ->check(one_of({"off", "sgx2"}))
        ->group(kEmulator);
    sub.add_flag("--strict", start_.strict, "Check and disturb as unkindly as hardware may")
        ->group(kEmulator);
    sub.add_option("--strict-seed", start_.strict_seed, "Seed of the disturbances (default 1)")
        ->type_name("N")
        ->group(kEmulator);
  }

  // Takes the program and its arguments off the words of `run` and `do`: everything from the first
  // word that is neither an option nor an option's value, or behind `--`. They are the program's,
  // whatever they look like. Also finds commands that do not exist.
  Result<void> split_program(std::vector<std::string>& words) {
    size_t at = after_options(app_, words, 0);
    if (at >= words.size()) return {};
    auto subs =
        app_.get_subcommands([&](const CLI::App* sub) { return sub->get_name() == words[at]; });
    if (subs.empty()) {
      return image::fail("there is no command '{}'; see 'occlum --help'", words[at]);
    }
    const CLI::App* sub = subs.front();
    if (!HelpFormatter::is_start(sub->get_name())) return {};
    at = after_options(*sub, words, at + 1);
    auto program = words.begin() + static_cast<ptrdiff_t>(std::min(at, words.size()));
    size_t skip = program != words.end() && *program == "--" ? 1 : 0;
    start_.argv.assign(std::make_move_iterator(program + static_cast<ptrdiff_t>(skip)),
                       std::make_move_iterator(words.end()));
    words.erase(program, words.end());
    return {};
  }

  // The index of the first word from `at` on that is no option of `app` and no option's value.
  static size_t after_options(const CLI::App& app, const std::vector<std::string>& words,
                              size_t at) {
    while (at < words.size() && words[at].size() > 1 && words[at][0] == '-' && words[at] != "--") {
      const CLI::Option* option = app.get_option_no_throw(words[at]);
      at += option != nullptr && option->get_items_expected_min() > 0 ? 2 : 1;
    }
    return at;
  }

  Result<int> start(const Action& action) {
    if (start_.argv.empty()) {
      return image::fail("no program given; see 'occlum {} --help'", current_->get_name());
    }
    return action();
  }

  std::string explain(const CLI::ParseError& error) const {
    std::string words = error.what();
    if (auto newline = words.find('\n'); newline != std::string::npos) words.resize(newline);
    if (!words.empty()) words[0] = static_cast<char>(tolower(words[0]));
    std::string where;
    for (const CLI::App* sub : app_.get_subcommands()) where = " " + sub->get_name();
    return fmt::format("{}; see 'occlum{} --help'", words, where);
  }

  static int complain(std::string words) {
    std::ranges::replace(words, '\n', ' ');
    fmt::print(stderr, "occlum: {}\n", words);
    return kOwnFailure;
  }

  CLI::App app_;
  std::string directory_;
  std::string positional_;
  std::string file_;
  std::vector<std::string> writable_;
  BuildOptions build_;
  StartOptions start_;
  const CLI::App* current_ = nullptr;
  Action action_;
};

}  // namespace

int run_command_line(int argc, char** argv) { return CommandLine().run(argc, argv); }

}  // namespace cli
