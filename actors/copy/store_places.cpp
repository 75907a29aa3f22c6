#include "actors/copy/store_places.hpp"

namespace mutant {

namespace {

open_store_options how_to_open(const store_url& url, const store_places_options& options) {
  open_store_options how;
  how.readers = options.window;
  how.remote = options.remote;
  how.any_file_system = options.any_file_system;
  if (url.scheme == "cafs")
    how.tls = options.tls;
  return how;
}

}  // namespace

std::size_t threads_of(const std::vector<std::string>& urls, const store_places_options& options) {
  std::size_t count = 0;
  for (const auto& text : urls)
    if (auto url = parse_store_url(text))
      count += threads_of(*url, how_to_open(*url, options));
  return count;
}

store_places::~store_places() {
  for (auto& child : children_)
    caf::anon_send_exit(child, caf::exit_reason::user_shutdown);
}

result<pad_store_actor> store_places::open(const std::string& text, bool create) {
  auto url = parse_store_url(text);
  if (!url)
    return fail(url.error());
  auto how = how_to_open(*url, options_);
  how.create = create;
  auto store = open_pad_store(system_, *url, how);
  if (!store)
    return fail(store.error().code, text + ": " + store.error().message, store.error().detail);
  pad_worker_options workers;
  workers.store = keep(*store);
  workers = apply_backend_timeouts(std::move(workers), *url, options_.remote);
  return keep(spawn_pad_pool(system_, workers, options_.window));
}

}  // namespace mutant
