// Names of stores: what is accepted comes back as it was, and everything else says what is wrong.
#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "core/store_url.hpp"

using namespace mutant;

BOOST_AUTO_TEST_SUITE(store_urls)

BOOST_AUTO_TEST_CASE(every_scheme_is_understood) {
  auto local = parse_store_url("local:/var/lib/a dir?with=marks");
  BOOST_REQUIRE(local.has_value());
  BOOST_TEST(local->path == "/var/lib/a dir?with=marks");  // a directory's name may hold anything
  BOOST_TEST(parse_store_url("memory:")->scheme == "memory");
  auto caf = parse_store_url("caf://one:4000,[::1]:4001");
  BOOST_REQUIRE(caf.has_value());
  BOOST_REQUIRE(caf->hosts.size() == 2u);
  BOOST_TEST((caf->hosts[1] == host_port{"::1", 4001}));
  auto rados = parse_store_url("rados:data?conf=/etc/ceph.conf&namespace=a%26b");
  BOOST_REQUIRE(rados.has_value());
  BOOST_TEST(rados->options.at("namespace") == "a&b");
}

BOOST_AUTO_TEST_CASE(text_and_url_go_round) {
  for (std::string text : {"local:/a/b", "memory:", "caf://h:1", "cafs://a:1,[fe80::1]:65535", "rados:p?conf=x&id=y"}) {
    auto url = parse_store_url(text);
    BOOST_REQUIRE(url.has_value());
    BOOST_TEST(to_string(*url) == text);
    BOOST_TEST((*parse_store_url(to_string(*url)) == *url));
  }
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_refused) {
  BOOST_TEST((parse_store_url("gs:bucket").error().code == errc::unsupported));
  const std::vector<std::string> wrong = {
      "",          "local",      "local:",        "memory:x",      "caf:h:1",        "caf://",           "caf://h",
      "caf://h:0", "caf://h:65536", "caf://h:1,",  "caf://:1",      "caf://h:1x",     "caf://[::1:1",     "caf://::1:1",
      "rados:",    "rados:p?x=1", "rados:p?conf",  "rados:p?id=%g0", "rados:p?id=a&id=b", std::string("local:a\0b", 9),
      "rados:p?id=a%00b", "caf://h:1?conf=a", std::string("caf://") + std::string(9000, 'h') + ":1"};
  for (const auto& text : wrong)
    BOOST_TEST((parse_store_url(text).error().code == errc::invalid_argument), text);
}

BOOST_AUTO_TEST_CASE(port_zero_is_for_listening_only) {
  BOOST_TEST(!parse_host_port("h:0").has_value());
  BOOST_TEST(parse_host_port("h:0", true).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
