// mutant node: serves a store to other machines.
#include <algorithm>
#include <atomic>
#include <semaphore>
#include <thread>

#include "actors/net/tls_certificates.hpp"
#include "actors/node/node_server.hpp"
#include "actors/pads/open_store.hpp"
#include "apps/mutant/commands.hpp"
#include "apps/mutant/node_log.hpp"
#include "core/resources.hpp"

namespace mutant::cli {

namespace {

constexpr std::chrono::seconds stop_patience{20};

struct node_arguments {
  std::string listen;
  std::string max_bytes;
  std::string max_pending;
  std::string max_connections;
  std::string max_per_client;
  std::string tls_allow;
  std::string log_level = "info";
  bool log_json = false;
  bool insecure = false;
  std::string make_certs;
  std::string names;
  std::string client;
  bool renew = false;
};

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    out.emplace_back(part);
  }
  return out;
}

// "4096", "512K", "256M", "2G", "1T": powers of 1024.
result<std::uint64_t> parse_size(const std::string& text, const std::string& what) {
  auto digits = text;
  auto shift = 0u;
  if (!text.empty())
    if (const auto at = std::string_view("KMGT").find(text.back()); at != std::string_view::npos) {
      shift = 10 * (static_cast<unsigned>(at) + 1);
      digits.pop_back();
    }
  auto number = parse_number(digits, what);
  if (!number)
    return number;
  if (*number > (UINT64_MAX >> 2) >> shift)
    return fail(errc::invalid_argument, what + " is too large");
  return *number << shift;
}

result<node_server_options> server_options(const context& c, const node_arguments& given) {
  node_server_options out;
  auto where = parse_host_port(given.listen, true);
  if (!where)
    return fail(where.error());
  out.listen = *where;
  out.tls = c.where.tls;
  out.insecure = given.insecure;
  out.node.verifiers = c.where.threads;
  const auto read = [](const std::string& text, const std::string& what, auto& to) -> result<void> {
    if (text.empty())
      return {};
    auto size = parse_size(text, what);
    if (!size)
      return fail(size.error());
    to = static_cast<std::remove_reference_t<decltype(to)>>(*size);
    return {};
  };
  if (auto good = read(given.max_bytes, "--max-bytes", out.node.max_bytes); !good)
    return fail(good.error());
  if (auto good = read(given.max_pending, "--max-pending", out.node.max_pending_bytes); !good)
    return fail(good.error());
  if (auto good = read(given.max_connections, "--max-connections", out.max_connections); !good)
    return fail(good.error());
  if (auto good = read(given.max_per_client, "--max-per-client", out.max_per_client); !good)
    return fail(good.error());
  if (out.max_connections == 0)
    return fail(errc::invalid_argument, "--max-connections is one at least");
  auto allow = tls_allow_list::parse(split_at_commas(given.tls_allow));
  if (!allow)
    return fail(allow.error());
  out.tls_allow = std::move(*allow);
  auto log = make_log(given.log_level, given.log_json);
  if (!log)
    return fail(log.error());
  out.log = std::move(*log);
  return out;
}

// A connection is a descriptor; newcomers, the store and the program have some besides.
result<void> check_limits(const caf::actor_system_config& config, const node_server_options& options,
                          std::size_t threads_of_store) {
  const auto descriptors_besides = 64 + options.max_newcomers;
  if (const auto most = raise_descriptor_limit(options.max_connections + descriptors_besides);
      most < options.max_connections + descriptors_besides)
    return fail(errc::io_error, std::to_string(options.max_connections) + " connections take "
                                    + std::to_string(options.max_connections + descriptors_besides)
                                    + " descriptors, and this process may have " + std::to_string(most)
                                    + ": raise ulimit -n, or give a smaller --max-connections");
  const auto cores = std::max(1u, std::thread::hardware_concurrency());
  const auto verifiers = options.node.verifiers != 0 ? options.node.verifiers : cores;
  constexpr std::size_t threads_of_middleman = 2;
  return check_resources(config, threads_of_middleman + verifiers + threads_of_store);
}

void say_ready(context& c, const node_server& server, bool tls) {
  const auto store = to_string(c.where.store);
  if (c.out.use_json)
    c.out.document({{"listening", server.address()}, {"port", server.port()}, {"tls", tls}, {"store", store}});
  else
    c.out.print("listening on " + std::string(tls ? "cafs://" : "caf://") + server.address() + ", serving " + store + "\n");
  c.out.flush();
}

void reload_certificates(node_server& server, const log_sink& log) {
  if (auto done = server.reload_certificates(); !done)
    tell(log, log_level::error, "the certificates could not be read again; those from before stay in use",
         {{"error", std::string(name_of(done.error().code))}, {"message", done.error().message}});
  else
    tell(log, log_level::info, "the certificates were read again");
}

open_store_options how_to_open(const context& c) {
  open_store_options how;
  how.readers = std::max<std::size_t>(6, 2 * c.where.threads);
  how.any_file_system = c.options.any_file_system;
  if (c.where.store.scheme == "cafs")
    how.tls = c.where.tls;
  return how;
}

int serve(context& c, const node_arguments& given) {
  auto options = server_options(c, given);
  if (!options)
    return c.out.failed("node", options.error());
  warn_of_plain_nodes(c.out, c.where.store);
  if (!c.where.store_given)
    if (auto ready = prepare_places(c.where); !ready)
      return c.out.failed("node", ready.error());

  system_config config("caf:");
  if (c.where.threads != 0)
    config.set("scheduler.max-threads", c.where.threads);
  auto how = how_to_open(c);
  how.log = options->log;
  if (auto given_to_us = check_limits(config, *options, threads_of(c.where.store, how)); !given_to_us)
    return c.out.failed("node", given_to_us.error());
  caf::actor_system system(config);
  auto store = open_pad_store(system, c.where.store, how);
  if (!store)
    return c.out.failed("node", store.error());
  options->node.store = *store;
  const auto log = options->log;
  const auto tls = options->tls.given();
  const auto insecure = options->insecure && !tls;

  auto code = 0;
  // The functor below may run after this function has ended.
  auto stop = std::make_shared<std::counting_semaphore<>>(0);
  auto lost = std::make_shared<std::atomic<bool>>(false);
  auto reload = std::make_shared<std::atomic<bool>>(false);
  {
    signal_scope scope(
        on_signal::cancel,
        [stop, told = std::make_shared<bool>(false)] {
          if (!std::exchange(*told, true))
            stop->release();
        },
        [stop, reload] {
          if (!reload->exchange(true))
            stop->release();
        });
    auto server = node_server::start(system, std::move(*options));
    if (server) {
      if (insecure)
        tell(log, log_level::warning, "no TLS: anybody who can connect may read and fill this store");
      tell(log, log_level::info, "listening", {{"address", server->address()}, {"store", to_string(c.where.store)}});
      say_ready(c, *server, tls);
      // A store that is lost ends the node.
      server->node()->attach_functor([stop, lost] {
        *lost = true;
        stop->release();
      });
      for (stop->acquire(); reload->exchange(false); stop->acquire())
        reload_certificates(*server, log);
      if (*lost) {
        code = exit_code(errc::unreachable);
        tell(log, log_level::error, "the store was lost", {{"store", to_string(c.where.store)}});
      }
      tell(log, log_level::info, "stopping");
      const auto in_order = server->stop(stop_patience);
      tell(log, in_order ? log_level::info : log_level::warning,
           in_order ? "stopped" : "stopped before everything was answered");
    } else {
      code = c.out.failed("node", server.error());
    }
  }
  caf::anon_send_exit(*store, caf::exit_reason::user_shutdown);
  return code;
}

int make_certs(context& c, const node_arguments& given) {
  certificate_request request;
  request.directory = given.make_certs;
  request.names = split_at_commas(given.names);
  request.client = given.client;
  request.renew = given.renew;
  auto written = make_certificates(request);
  if (!written)
    return c.out.failed("node --make-certs", written.error());
  if (c.out.use_json)
    c.out.document({{"files", *written}});
  else
    for (const auto& file : *written)
      c.out.print(file + "\n");
  return 0;
}

int run_node(context& c, const node_arguments& given) {
  if (!given.make_certs.empty() && given.listen.empty())
    return make_certs(c, given);
  if (given.listen.empty() || !given.make_certs.empty())
    return c.out.failed("node", {errc::invalid_argument, "give either --listen HOST:PORT or --make-certs DIR"});
  if (given.renew || !given.client.empty() || !given.names.empty())
    return c.out.failed("node", {errc::invalid_argument, "--names, --client and --renew go with --make-certs"});
  return serve(c, given);
}

}  // namespace

command add_node(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("node", "Serve the store to other machines");
  auto given = std::make_shared<node_arguments>();
  parser->add_option("--listen", given->listen, "Where clients connect; host *: everywhere; port 0: any free one")
      ->type_name("HOST:PORT");
  parser->add_option("--max-bytes", given->max_bytes, "Most that the store may come to keep (4G)")->type_name("SIZE");
  parser->add_option("--max-pending", given->max_pending, "Most that unfinished writes may hold in memory (256M)")
      ->type_name("SIZE");
  parser->add_option("--max-connections", given->max_connections, "Most connections at a time (256)")->type_name("N");
  parser->add_option("--max-per-client", given->max_per_client,
                     "Most of them of one address, and of one certificate (three quarters)")->type_name("N");
  parser->add_option("--tls-allow", given->tls_allow,
                     "The clients that get in: SHA-256 fingerprints or names of certificates, joined by commas")
      ->type_name("LIST");
  parser->add_flag("--insecure", given->insecure, "Serve other machines without TLS");
  parser->add_option("--log-level", given->log_level, "debug, info, warning or error")->type_name("LEVEL");
  parser->add_flag("--log-json", given->log_json, "Log in JSON");
  parser->add_option("--make-certs", given->make_certs, "Only make an authority and certificates there")->type_name("DIR");
  parser->add_option("--names", given->names, "For --make-certs: how clients call the node, joined by commas")
      ->type_name("HOSTS");
  parser->add_option("--client", given->client, "For --make-certs: only a certificate for one more client, of this name")
      ->type_name("NAME");
  parser->add_flag("--renew", given->renew, "For --make-certs: new certificates for the keys there, of the same authority");
  return {parser, [given, &words](context& c) {
            auto resolved = *given;
            for (auto* text : {&resolved.listen, &resolved.max_bytes, &resolved.max_pending, &resolved.max_connections,
                               &resolved.max_per_client, &resolved.tls_allow, &resolved.log_level, &resolved.make_certs,
                               &resolved.names, &resolved.client})
              *text = words.resolve(*text);
            return run_node(c, resolved);
          },
          true, false};
}

}  // namespace mutant::cli
