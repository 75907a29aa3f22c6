// What may be given as an attribute, and what the defined ones hold.
#include <boost/test/unit_test.hpp>

#include "core/index/attributes.hpp"
#include "core/limits.hpp"

using namespace mutant;

BOOST_AUTO_TEST_SUITE(attributes)

BOOST_AUTO_TEST_CASE(names_that_are_not_defined_begin_with_x) {
  const auto taken = [](std::string name, std::string content) {
    return check_given_attributes(attribute_map{{std::move(name), std::move(content)}}).has_value();
  };
  BOOST_TEST(taken("x-a", std::string("any\0bytes\xff", 10)));
  BOOST_TEST(taken("type", "text/plain; charset=utf-8"));
  BOOST_TEST(taken("mode", "4755"));
  BOOST_TEST(taken("mtime", "-1"));
  BOOST_TEST(taken("md5", std::string(16, '\0')));
  BOOST_TEST(taken("kind", "folder"));
  BOOST_TEST(taken("kind", "link"));
  BOOST_TEST(taken("owner", "4294967295:0"));
  for (auto [name, content] : std::initializer_list<std::pair<const char*, const char*>>{
           {"", "v"}, {"x-", "v"}, {"X-a", "v"}, {"other", "v"}, {"x-\xff", "v"}, {"type", ""}, {"type", "a\nb"},
           {"type", "\xff"}, {"mode", ""}, {"mode", "8"}, {"mode", "10000"}, {"mode", "644 "}, {"mtime", ""},
           {"mtime", "1.5"}, {"mtime", "9223372036854775808"}, {"md5", "d41d8cd9"}, {"kind", "file"},
           {"owner", "1"}, {"owner", "1:"}, {"owner", ":1"}, {"owner", "1:-1"}, {"owner", "4294967296:1"}})
    BOOST_TEST(!taken(name, content), name << " = " << content);
}

BOOST_AUTO_TEST_CASE(all_attributes_of_an_entry_have_8_kib_together) {
  attribute_map values{{"x-a", ""}, {"x-b", std::string(4000, 'b')}};
  values["x-a"] = std::string(max_attribute_bytes - 6 - 4000, 'a');
  BOOST_TEST(check_attributes(values).has_value());
  values["x-a"] += "a";
  const auto refused = check_attributes(values);
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code == errc::invalid_argument));
  BOOST_TEST(!check_given_attributes(values).has_value());
}

BOOST_AUTO_TEST_CASE(modes_and_times_come_back) {
  for (std::uint32_t mode : {0u, 0644u, 07777u})
    BOOST_TEST((mode_of(attribute_map{{"mode", mode_attribute(mode)}}) == mode));
  BOOST_TEST(mode_attribute(0100644) == "644");   // as stat gives it
  for (std::int64_t time : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1'700'000'000'123'456'789}})
    BOOST_TEST((mtime_of(attribute_map{{"mtime", mtime_attribute(time)}}) == time));
  for (const file_owner owner : {file_owner{0, 0}, file_owner{1000, 100}, file_owner{~0u, ~0u}})
    BOOST_TEST((owner_of(attribute_map{{"owner", owner_attribute(owner)}}) == owner));
  BOOST_TEST(!mode_of({}).has_value());
  BOOST_TEST(!mtime_of(attribute_map{{"mtime", "soon"}}).has_value());
}

BOOST_AUTO_TEST_CASE(sets_are_equal_when_they_hold_the_same) {
  const attribute_set some(attribute_map{{"x-a", "1"}});
  BOOST_TEST((some == attribute_set(attribute_map{{"x-a", "1"}})));
  BOOST_TEST(!(some == attribute_set(attribute_map{{"x-a", "2"}})));
  BOOST_TEST(!(some == attribute_set()));
  BOOST_TEST((attribute_set(attribute_map{}) == attribute_set()));
  BOOST_TEST(attribute_set(attribute_map{}).empty());
}

BOOST_AUTO_TEST_SUITE_END()
