// TLS between clients and nodes: who gets in, who does not, and that the log says why.
#include "tests/actors/network.hpp"

#include <caf/openssl/all.hpp>
#include <sys/stat.h>

namespace mutant::testing {

namespace {

struct tls_fixture : owner_keys {
  networked_system system;
  log_book log;
  certificates ours;

  node_server serve(const tls_files& files) {
    auto options = node_options_for(system.memory());
    options.tls = files;
    options.log = log.sink();
    return start_node(system, std::move(options));
  }
  // What becomes of a client with this context.
  result<done> try_with(const node_server& server, const tls_context_ptr& context, const std::string& host = "127.0.0.1") {
    auto options = networked_system::quick({server.port()}, context);
    options.hosts[0].host = host;
    options.unreachable_after = std::chrono::milliseconds(800);
    return system.put(system.remote(options), one);
  }
  const bytes one = record(1, 1, 500);
};

void check_refused(const result<done>& outcome, const std::string& why) {
  BOOST_REQUIRE_MESSAGE(!outcome, "this client should get nothing");
  BOOST_CHECK_EQUAL(name_of(outcome.error().code), "unreachable");
  BOOST_CHECK_MESSAGE(outcome.error().message.find(why) != std::string::npos, outcome.error().message);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(tls_tests, tls_fixture)

BOOST_AUTO_TEST_CASE(with_certificates_of_one_authority_they_talk_and_the_log_names_the_client) {
  auto server = serve(ours.files("node"));
  REQUIRE_OK(try_with(server, ours.client()));
  REQUIRE_OK(try_with(server, ours.client(), "localhost"));
  BOOST_CHECK(log.has({"client connected", "name=mutant client"}));
}

BOOST_AUTO_TEST_CASE(a_client_of_a_foreign_authority_gets_nothing) {
  auto server = serve(ours.files("node"));
  certificates foreign;
  // It knows our authority, so that only its own certificate is wrong.
  auto files = foreign.files("client");
  files.authority = ours.files("client").authority;
  auto context = tls_context::load(files, tls_role::client);
  REQUIRE_OK(context);
  check_refused(try_with(server, *context), "unknown ca");
  BOOST_CHECK_MESSAGE(eventually([&] { return log.has({"refused", "certificate"}); }), log.text());
  BOOST_CHECK(!log.has({"client connected"}));
}

BOOST_AUTO_TEST_CASE(a_node_of_a_foreign_authority_gets_nothing) {
  certificates foreign;
  auto files = foreign.files("node");
  files.authority = ours.files("node").authority;
  auto server = serve(files);
  check_refused(try_with(server, ours.client()), "its certificate was refused");
  BOOST_CHECK(!log.has({"client connected"}));
}

BOOST_AUTO_TEST_CASE(a_client_with_an_expired_certificate_gets_nothing) {
  auto server = serve(ours.files("node"));
  certificate_request request;
  request.directory = ours.folder.file("expired");
  std::filesystem::create_directory(request.directory);
  for (const auto* file : {"ca.pem", "ca-key.pem"})
    std::filesystem::copy(ours.folder.path() / file, std::filesystem::path(request.directory) / file);
  request.names = {"127.0.0.1"};
  request.days = -1;
  REQUIRE_OK(make_certificates(request));
  const tls_files expired{request.directory + "/client.pem", request.directory + "/client-key.pem",
                          ours.files("client").authority};
  // Loading it is refused already; so a client that does not care is made by hand.
  auto context = tls_context::load(expired, tls_role::client);
  BOOST_REQUIRE(!context);
  BOOST_CHECK(context.error().message.find("expired") != std::string::npos);
  BOOST_CHECK(!tls_context::load({request.directory + "/node.pem", request.directory + "/node-key.pem", expired.authority},
                                 tls_role::node));

  system_config config("caf:");
  config.openssl_certificate = expired.certificate;
  config.openssl_key = expired.key;
  config.openssl_cafile = expired.authority;
  config.load<caf::openssl::manager>();
  caf::actor_system careless(config);
  auto found = caf::openssl::remote_actor<pad_store_actor>(careless, "127.0.0.1", server.port());
  BOOST_CHECK(!found);
  BOOST_CHECK_MESSAGE(eventually([&] { return log.has({"refused", "expired"}); }), log.text());
  BOOST_CHECK(!log.has({"client connected"}));
}

BOOST_AUTO_TEST_CASE(a_client_without_a_certificate_gets_nothing) {
  auto server = serve(ours.files("node"));
  system_config config("caf:");
  config.load<caf::openssl::manager>();   // anonymous
  caf::actor_system nobody(config);
  BOOST_CHECK(!caf::openssl::remote_actor<pad_store_actor>(nobody, "127.0.0.1", server.port()));
  BOOST_CHECK_MESSAGE(eventually([&] { return log.has({"refused"}); }), log.text());
  BOOST_CHECK(!log.has({"client connected"}));
}

BOOST_AUTO_TEST_CASE(a_client_that_does_not_speak_tls_gets_nothing) {
  auto server = serve(ours.files("node"));
  auto options = networked_system::quick({server.port()});
  options.unreachable_after = std::chrono::milliseconds(500);
  auto outcome = system.put(system.remote(options), record(1, 1, 500));
  BOOST_REQUIRE(!outcome);
  BOOST_CHECK(outcome.error().code == errc::unreachable);
  BOOST_CHECK_MESSAGE(eventually([&] { return log.has({"refused"}); }), log.text());
}

BOOST_AUTO_TEST_CASE(a_node_that_does_not_speak_tls_is_not_talked_to) {
  auto server = start_node(system, node_options_for(system.memory()));
  auto outcome = try_with(server, ours.client());
  BOOST_REQUIRE(!outcome);
  BOOST_CHECK(outcome.error().code == errc::unreachable);
}

BOOST_AUTO_TEST_CASE(a_certificate_of_another_host_is_refused_by_the_client) {
  certificates elsewhere(10, {"node.example", "10.1.2.3"});
  auto server = serve(elsewhere.files("node"));
  check_refused(try_with(server, elsewhere.client()), "its certificate was refused");
  check_refused(try_with(server, elsewhere.client(), "localhost"), "its certificate was refused");
}

BOOST_AUTO_TEST_CASE(a_clients_certificate_does_not_make_a_node) {
  auto server = serve(ours.files("client"));
  check_refused(try_with(server, ours.client()), "its certificate was refused");
}

BOOST_AUTO_TEST_CASE(unusable_files_are_named_before_anything_listens) {
  auto refused = [&](const tls_files& files, const std::string& word) {
    auto options = node_options_for(system.memory());
    options.tls = files;
    auto server = node_server::start(system.system(), options);
    BOOST_REQUIRE(!server);
    BOOST_CHECK_MESSAGE(server.error().message.find(word) != std::string::npos, server.error().message);
  };
  const auto good = ours.files("node");
  refused({good.certificate, good.key, ""}, "--tls-ca");
  refused({good.certificate, "", good.authority}, "--tls-key");
  refused({"/nowhere/node.pem", good.key, good.authority}, "/nowhere/node.pem");
  refused({good.certificate, "/nowhere/key.pem", good.authority}, "/nowhere/key.pem");
  refused({good.certificate, good.key, "/nowhere/ca.pem"}, "/nowhere/ca.pem");
  refused({good.certificate, ours.files("client").key, good.authority}, "client-key.pem");
  refused({good.key, good.key, good.authority}, "node-key.pem");
  ::chmod(good.key.c_str(), 0644);
  refused(good, "chmod");
}

BOOST_AUTO_TEST_CASE(made_keys_are_for_their_owner_only_and_nothing_is_overwritten) {
  for (const auto* name : {"ca-key.pem", "node-key.pem", "client-key.pem"}) {
    struct stat info {};
    BOOST_REQUIRE_EQUAL(::stat(ours.folder.file(name).c_str(), &info), 0);
    BOOST_CHECK_EQUAL(info.st_mode & 0777, 0600u);
  }
  certificate_request again;
  again.directory = ours.folder.path().string();
  again.names = {"localhost"};
  BOOST_CHECK(!make_certificates(again));
  again.directory = ours.folder.file("more");
  again.names = {"a b"};
  BOOST_CHECK(!make_certificates(again));
  again.names = {"localhost,CA:TRUE"};
  BOOST_CHECK(!make_certificates(again));
}

BOOST_AUTO_TEST_CASE(programs_with_cafs_own_openssl_module_can_use_a_node_with_certificates) {
  auto server = serve(ours.files("node"));
  const auto files = ours.files("client");
  system_config config("caf:");
  config.openssl_certificate = files.certificate;
  config.openssl_key = files.key;
  config.openssl_cafile = files.authority;
  config.load<caf::openssl::manager>();
  caf::actor_system other(config);
  auto found = caf::openssl::remote_actor<pad_store_actor>(other, "127.0.0.1", server.port());
  BOOST_REQUIRE_MESSAGE(found, (found ? std::string() : other.render(found.error())));
  const auto large = record(1, 1, max_record_bytes);
  caf::scoped_actor self{other};
  self->request(*found, patience, put_atom_v, large).receive([](done) {}, [&](caf::error& e) { BOOST_ERROR(other.render(e)); });
  self->request(*found, patience, get_atom_v, pad_query{address(1)})
      .receive([&](const bytes& back) { BOOST_CHECK(back == large); }, [&](caf::error& e) { BOOST_ERROR(other.render(e)); });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
