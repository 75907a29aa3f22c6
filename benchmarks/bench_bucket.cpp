// What a bucket's server gives to a bare libcurl loop: objects of a whole record, as many requests under way as mutant has,
// each signed as mutant signs. What `compare --only bucket` sets mutant against.
//
//   bench_bucket [--smoke] [--store URL] [--size-mib N] [--depth N] [--json]
//
// The store is $MUTANT_TEST_S3 unless given (tests/system/ceph_gateway.py starts one); credentials come as for any store.
// Writes objects under PREFIX/bare-…, reads them, and removes them.
#include <curl/curl.h>

#include "actors/store.hpp"
#include "benchmarks/support.hpp"
#include "core/s3/probe.hpp"

using namespace mutant;
using namespace mutant::bench;

namespace {

struct settings {
  std::string url;
  std::uint64_t size_mib = 1024;
  std::size_t depth = 16;
  bool json = false;
};

struct server {
  s3::location where;
  s3::credentials_ptr who;
};

// One connection's request; used again for the next.
struct transfer {
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  byte_view body;
  std::size_t moved = 0;

  static std::size_t send(char* out, std::size_t one, std::size_t count, void* me) {
    auto& t = *static_cast<transfer*>(me);
    const auto part = std::min(one * count, t.body.size() - t.moved);
    std::memcpy(out, t.body.data() + t.moved, part);
    t.moved += part;
    return part;
  }
  static std::size_t take(char*, std::size_t one, std::size_t count, void* me) {
    static_cast<transfer*>(me)->moved += one * count;
    return one * count;
  }
};

void set_up(transfer& t, const server& to, const std::string& method, const std::string& object, byte_view body) {
  s3::header_list headers{{"Host", to.where.host_name()}};
  if (method == "PUT")
    headers.emplace_back("If-None-Match", "*");
  const auto path = to.where.path_of(object);
  const auto hash = to.where.scheme == "https" ? std::string(s3::unsigned_payload) : s3::sha256_hex(body);
  s3::sign(method, path, "", headers, hash, *to.who, to.where.region, std::chrono::system_clock::now());
  curl_slist_free_all(std::exchange(t.headers, nullptr));
  t.headers = curl_slist_append(nullptr, "Expect:");
  for (const auto& [name, value] : headers)
    t.headers = curl_slist_append(t.headers, (name + ": " + value).c_str());
  t.body = body;
  t.moved = 0;
  curl_easy_reset(t.easy);
  const auto url = to.where.scheme + "://" + to.where.host_name() + path;
  curl_easy_setopt(t.easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(t.easy, CURLOPT_HTTPHEADER, t.headers);
  curl_easy_setopt(t.easy, CURLOPT_BUFFERSIZE, 512L * 1024);
  curl_easy_setopt(t.easy, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
  curl_easy_setopt(t.easy, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(t.easy, CURLOPT_PRIVATE, static_cast<void*>(&t));
  curl_easy_setopt(t.easy, CURLOPT_WRITEFUNCTION, &transfer::take);
  curl_easy_setopt(t.easy, CURLOPT_WRITEDATA, static_cast<void*>(&t));
  if (method == "PUT") {
    curl_easy_setopt(t.easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(t.easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(t.easy, CURLOPT_READFUNCTION, &transfer::send);
    curl_easy_setopt(t.easy, CURLOPT_READDATA, static_cast<void*>(&t));
  }
}

// Seconds for all of them, `depth` at a time.
double all(const server& to, const std::string& method, const std::vector<std::string>& objects, byte_view body,
           std::size_t depth) {
  auto* multi = curl_multi_init();
  std::vector<transfer> transfers(std::min(depth, objects.size()));
  std::size_t next = 0, done = 0;
  const auto begin = steady::now();
  auto go_on = [&](transfer& t) {
    set_up(t, to, method, objects[next++], body);
    curl_multi_add_handle(multi, t.easy);
  };
  for (auto& t : transfers) {
    t.easy = curl_easy_init();
    go_on(t);
  }
  while (done < objects.size()) {
    int running = 0, left = 0;
    curl_multi_perform(multi, &running);
    while (const auto* message = curl_multi_info_read(multi, &left)) {
      char* mine = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &mine);
      auto& t = *reinterpret_cast<transfer*>(mine);
      if (message->data.result != CURLE_OK || t.moved < (method == "PUT" ? body.size() : record_header_bytes)) {
        std::fprintf(stderr, "bench_bucket: %s: %s\n", method.c_str(), curl_easy_strerror(message->data.result));
        std::exit(1);
      }
      ++done;
      curl_multi_remove_handle(multi, t.easy);
      if (next < objects.size())
        go_on(t);
    }
    if (done < objects.size())
      curl_multi_poll(multi, nullptr, 0, 1000, nullptr);
  }
  const auto took = seconds_since(begin);
  for (auto& t : transfers) {
    curl_slist_free_all(t.headers);
    curl_easy_cleanup(t.easy);
  }
  curl_multi_cleanup(multi);
  return took;
}

settings parse(int argc, char** argv) {
  arguments given(argc, argv, "bench_bucket [--smoke] [--store URL] [--size-mib N] [--depth N] [--json]");
  settings s;
  const auto* named = std::getenv("MUTANT_TEST_S3");
  s.json = given.flag("--json");
  s.url = given.text("--store", named != nullptr ? named : "");
  s.size_mib = given.number("--size-mib", given.flag("--smoke") ? 16 : 1024);
  s.depth = std::max<std::size_t>(1, given.number("--depth", 16));
  given.finish();
  if (s.url.empty()) {
    std::fprintf(stderr, "bench_bucket: which bucket? --store s3:BUCKET?endpoint=URL, or tests/system/ceph_gateway.py run\n");
    std::exit(2);
  }
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  const auto s = parse(argc, argv);
  must(init_crypto(), "crypto");
  server to{must(s3::locate(must(parse_store_url(s.url), "the store"), s3::process_environment), "the store"),
            must(s3::load_credentials("", s3::process_environment), "credentials")};
  const auto count = std::max<std::size_t>(1, (s.size_mib << 20) / max_record_bytes);
  std::vector<std::string> objects;
  for (std::size_t i = 0; i < count; ++i)
    objects.push_back(to.where.prefix + "bare-" + std::to_string(::getpid()) + "-" + std::to_string(i));
  const std::vector<std::byte> content(max_record_bytes, std::byte{1});
  const auto written = all(to, "PUT", objects, content, s.depth), read = all(to, "GET", objects, {}, s.depth);
  s3::caller remover(to.where, to.who, s.depth);
  s3::remove_objects(remover, objects);
  const auto bytes_moved = static_cast<double>(count * content.size());
  if (s.json)
    std::printf("{\"put_bytes_per_second\":%.0f,\"get_bytes_per_second\":%.0f}\n", bytes_moved / written, bytes_moved / read);
  else
    std::printf("bare libcurl, %zu objects of 4 MiB, %zu at a time: put %.1f MB/s, get %.1f MB/s\n", count, s.depth,
                bytes_moved / written / 1e6, bytes_moved / read / 1e6);
  return 0;
}
