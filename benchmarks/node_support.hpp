// What the benchmarks of the node share: a real `mutant node` on loopback, and their command line.
#pragma once

#include <nlohmann/json.hpp>

#include "actors/net/tls.hpp"
#include "benchmarks/processes.hpp"
#include "benchmarks/support.hpp"

namespace mutant::bench {

struct node_bench_arguments {
  bool smoke = false;
  std::size_t rounds = 5;
  std::uint64_t size_mib = 1024;
  std::string directory;
  std::string mutant = mutant_program();
  std::string only;           // one part of the program; empty: all
};

inline node_bench_arguments parse_arguments(int argc, char** argv) {
  node_bench_arguments a;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto more = i + 1 < argc;
    if (word == "--smoke")
      a.smoke = true;
    else if (word == "--rounds" && more)
      a.rounds = std::max(1ul, std::strtoul(argv[++i], nullptr, 10));
    else if (word == "--size-mib" && more)
      a.size_mib = std::max(1ul, std::strtoul(argv[++i], nullptr, 10));
    else if (word == "--directory" && more)
      a.directory = argv[++i];
    else if (word == "--mutant" && more)
      a.mutant = argv[++i];
    else if (word == "--only" && more)
      a.only = argv[++i];
    else {
      std::fprintf(stderr, "usage: %s [--smoke] [--rounds N] [--size-mib N] [--directory DIR] [--mutant PROGRAM]\n"
                           "       [--only PART]\n", argv[0]);
      std::exit(2);
    }
  }
  if (a.smoke) {
    a.rounds = 1;
    a.size_mib = 16;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return a;
}

inline std::vector<std::string> tls_words(const tls_files& files) {
  if (!files.given())
    return {};
  return {"--tls-cert", files.certificate, "--tls-key", files.key, "--tls-ca", files.authority};
}

// `mutant node` over the store in a directory; ready when it is constructed.
struct running_node {
  running_node(const std::string& program, const std::string& directory, const tls_files& tls = {},
               const std::vector<std::string>& more = {})
      : process(words(program, directory, tls, more)) {
    const auto ready = nlohmann::json::parse(process.read_line(), nullptr, false);
    if (!ready.is_object() || !ready.contains("port")) {
      std::fprintf(stderr, "the node did not start\n");
      std::exit(1);
    }
    port = ready["port"];
    url = (tls.given() ? "cafs://127.0.0.1:" : "caf://127.0.0.1:") + std::to_string(port);
  }

  child_process process;
  std::uint16_t port = 0;
  std::string url;

 private:
  static std::vector<std::string> words(const std::string& program, const std::string& directory, const tls_files& tls,
                                        const std::vector<std::string>& more) {
    std::vector<std::string> out{program,   "--json",  "node", "--listen", "127.0.0.1:0", "--store", "local:" + directory,
                                 "--log-level", "warning"};
    for (const auto& list : {tls_words(tls), more})
      out.insert(out.end(), list.begin(), list.end());
    return out;
  }
};

}  // namespace mutant::bench
