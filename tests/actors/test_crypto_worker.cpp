// What a crypto worker does without a store around it.
#include <fcntl.h>

#include "tests/actors/fixture.hpp"
#include "tests/core/test_engine_support.hpp"

namespace mutant::testing {

namespace {

// A file with something in front and something at the end, and a hole between.
struct sparse_file {
  static constexpr std::uint64_t hole_begin = 64 << 10, hole_bytes = 32 << 20;

  sparse_file() : file(std::make_shared<const open_file>(::open(folder.file("sparse").c_str(), O_RDWR | O_CREAT, 0600))) {
    const std::string some(hole_begin, 'x');
    BOOST_REQUIRE_EQUAL(::pwrite(file->descriptor(), some.data(), some.size(), 0), some.size());
    BOOST_REQUIRE_EQUAL(::pwrite(file->descriptor(), some.data(), some.size(), hole_begin + hole_bytes), some.size());
  }
  bool has_hole() const { return leading_hole_bytes(file->descriptor(), hole_begin, hole_bytes) == hole_bytes; }

  engine_test::temporary_directory folder;
  file_ptr file;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(crypto_work, fixture)

// Whatever was sealed before, at whatever length, with or without compression.
BOOST_AUTO_TEST_CASE(a_hole_is_sealed_as_the_zeros_that_it_stands_for) {
  const sparse_file source;
  if (!source.has_hole())
    return;
  for (const auto how : {compression{}, compression{compression::choice::off}, compression{compression::choice::always, 3}}) {
    const crypto_worker_actor worker = det.system().spawn(crypto_worker, crypto_worker_options{keys, how});
    std::uint64_t number = 0;
    for (std::uint32_t length : {1u, 511u, 512u, 512u, 100'000u, 1u, max_chunk_bytes, max_chunk_bytes, 4096u})
      for (std::uint64_t offset : {source.hole_begin, source.hole_begin - 1}) {
        const file_slice slice{source.file, offset};
        std::vector<std::byte> content(length);
        if (offset != source.hole_begin)
          content[0] = std::byte{'x'};
        const auto plain = bytes::copy_of(content);
        const pad_ref pad{++number, 1};
        const auto sealed = get<sealed_chunk>(worker, seal_atom_v, seal_chunk_job{slice, length, pad});
        const auto wanted = get<sealed_chunk>(worker, seal_atom_v, seal_chunk_job{plain, length, pad});
        BOOST_TEST((sealed.what == wanted.what), length << " bytes at " << offset);
        BOOST_TEST(sealed.record.size() == wanted.record.size());
        BOOST_TEST((get<fingerprint>(worker, compare_atom_v, compare_chunk_job{slice, length}) == wanted.what.print));
        BOOST_TEST((get<bytes>(worker, open_atom_v, open_chunk_job{sealed.record, sealed.what, 0, length, false}) == plain));
      }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
