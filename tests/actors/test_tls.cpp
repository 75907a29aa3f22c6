// TLS between clients and nodes: who gets in, who does not, and that the log says why.
#include "tests/actors/network.hpp"

#include <caf/openssl/all.hpp>
#include <sys/stat.h>

#include <cctype>
#include <fstream>

namespace mutant::testing {

namespace {

struct tls_fixture : owner_keys {
  networked_system system;
  log_book log;
  certificates ours;

  node_server serve(const tls_files& files, std::vector<std::string> allowed = {}) {
    auto options = node_options_for(system.memory());
    options.tls = files;
    auto list = tls_allow_list::parse(allowed);
    REQUIRE_OK(list);
    options.tls_allow = *list;
    options.log = log.sink();
    return start_node(system, std::move(options));
  }
  // Another client of our authority.
  tls_context_ptr one_more(const std::string& name) {
    certificate_request request;
    request.directory = ours.folder.path().string();
    request.client = name;
    REQUIRE_OK(make_certificates(request));
    auto context = tls_context::load(ours.files(name), tls_role::client);
    REQUIRE_OK(context);
    return *context;
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

BOOST_AUTO_TEST_CASE(with_a_list_of_names_only_those_get_in_and_the_others_are_told) {
  auto alice = one_more("alice");
  auto server = serve(ours.files("node"), {"alice", "somebody else"});
  REQUIRE_OK(try_with(server, alice));
  BOOST_CHECK(log.has({"client connected", "name=alice"}));
  check_refused(try_with(server, ours.client()), "");
  BOOST_CHECK_MESSAGE(eventually([&] { return log.has({"refused", "--tls-allow", "'mutant client'"}); }), log.text());
  BOOST_CHECK(!log.has({"client connected", "mutant client"}));
}

BOOST_AUTO_TEST_CASE(with_a_list_of_fingerprints_only_those_get_in_however_they_are_written) {
  auto alice = one_more("alice");
  std::string said;
  {
    auto server = serve(ours.files("node"), {std::string(64, '0')});
    check_refused(try_with(server, alice), "");
    BOOST_REQUIRE_MESSAGE(eventually([&] { return log.has({"refused", "'alice' nor "}); }), log.text());
    // The log names the fingerprint that would have to be on the list.
    const auto text = log.text();
    said = text.substr(text.find("'alice' nor ") + 12, 64);
  }
  std::string with_colons;
  for (std::size_t i = 0; i < said.size(); i += 2)
    with_colons += (i == 0 ? "" : ":") + said.substr(i, 2);
  std::ranges::transform(with_colons, with_colons.begin(), [](char c) { return static_cast<char>(std::toupper(c)); });
  auto server = serve(ours.files("node"), {with_colons});
  REQUIRE_OK(try_with(server, alice));
  check_refused(try_with(server, ours.client()), "");
  BOOST_CHECK(!tls_allow_list::parse({""}));
  BOOST_CHECK(!tls_allow_list::parse({std::string(256, 'a')}));
}

BOOST_AUTO_TEST_CASE(certificates_that_are_read_again_are_used_for_new_connections_and_bad_ones_change_nothing) {
  auto server = serve(ours.files("node"));
  auto early = system.remote({server.port()}, ours.client());
  REQUIRE_OK(system.put(early, one));
  // Another authority takes over; the files are replaced one by one.
  certificates next;
  const auto old_client = ours.client();
  std::filesystem::rename(next.files("node").certificate, ours.files("node").certificate);
  auto bad = server.reload_certificates();
  BOOST_REQUIRE(!bad);
  BOOST_CHECK(bad.error().message.find("node-key.pem is not") != std::string::npos);
  REQUIRE_OK(try_with(server, old_client));
  std::filesystem::rename(next.files("node").key, ours.files("node").key);
  std::filesystem::copy_file(next.files("node").authority, ours.files("node").authority,
                             std::filesystem::copy_options::overwrite_existing);
  REQUIRE_OK(server.reload_certificates());
  REQUIRE_OK(try_with(server, next.client()));
  check_refused(try_with(server, old_client), "");
  REQUIRE_OK(system.put(early, record(2, 1, 500)));   // it is in
}

BOOST_AUTO_TEST_CASE(renewed_certificates_are_of_the_same_authority_for_the_same_names_and_keys) {
  certificates own(1, {"node.example", "127.0.0.1", "::1"});
  auto server = serve(own.files("node"));
  const auto old_client = own.client();
  const auto content = [](const std::string& path) {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto before = content(own.files("node").certificate), key = content(own.files("node").key);
  certificate_request request;
  request.directory = own.folder.path().string();
  request.renew = true;
  auto written = make_certificates(request);
  REQUIRE_OK(written);
  BOOST_CHECK_EQUAL(written->size(), 2u);
  BOOST_CHECK(content(own.files("node").certificate) != before);
  BOOST_CHECK(content(own.files("node").key) == key);
  REQUIRE_OK(server.reload_certificates());
  // Old and new clients and nodes understand each other, under the names of before.
  REQUIRE_OK(try_with(server, old_client));
  REQUIRE_OK(try_with(server, own.client()));
  check_refused(try_with(server, own.client(), "localhost"), "its certificate was refused");
  // Without an authority nothing can be renewed, and nothing new is made in passing.
  std::filesystem::remove(own.folder.path() / "ca-key.pem");
  BOOST_CHECK(!make_certificates(request));
  BOOST_CHECK(!std::filesystem::exists(own.folder.path() / "ca-key.pem"));
}

BOOST_AUTO_TEST_CASE(names_may_be_longer_than_a_common_name_can_be) {
  const auto name = std::string(60, 'a') + "." + std::string(60, 'b') + ".example";
  certificates own(10, {name, "127.0.0.1"});
  auto server = serve(own.files("node"));
  REQUIRE_OK(try_with(server, own.client()));
  certificate_request request;
  request.directory = own.folder.path().string();
  for (const auto* bad : {"ca", "node", "../x", "a b", "", "client-key"}) {
    request.client = bad;
    if (!request.client.empty())
      BOOST_CHECK_MESSAGE(!make_certificates(request), bad);
  }
  request.client = std::string(65, 'c');
  BOOST_CHECK(!make_certificates(request));
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
  auto found = caf::openssl::remote_actor<node_interface_actor>(careless, "127.0.0.1", server.port());
  BOOST_CHECK(!found);
  BOOST_CHECK_MESSAGE(eventually([&] { return log.has({"refused", "expired"}); }), log.text());
  BOOST_CHECK(!log.has({"client connected"}));
}

BOOST_AUTO_TEST_CASE(a_client_without_a_certificate_gets_nothing) {
  auto server = serve(ours.files("node"));
  system_config config("caf:");
  config.load<caf::openssl::manager>();   // anonymous
  caf::actor_system nobody(config);
  BOOST_CHECK(!caf::openssl::remote_actor<node_interface_actor>(nobody, "127.0.0.1", server.port()));
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
  auto found = caf::openssl::remote_actor<node_interface_actor>(other, "127.0.0.1", server.port());
  BOOST_REQUIRE_MESSAGE(found, (found ? std::string() : other.render(found.error())));
  const auto large = record(1, 1, max_record_bytes);
  caf::scoped_actor self{other};
  self->request(*found, patience, put_atom_v, large).receive([](done) {}, [&](caf::error& e) { BOOST_ERROR(other.render(e)); });
  self->request(*found, patience, get_atom_v, pad_query{address(1)})
      .receive([&](const bytes& back) { BOOST_CHECK(back == large); }, [&](caf::error& e) { BOOST_ERROR(other.render(e)); });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
