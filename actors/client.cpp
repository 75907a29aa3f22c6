#include "actors/client.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/caf/spawn.hpp"
#include "actors/streams.hpp"
#include "core/files.hpp"
#include "core/output_place.hpp"

namespace mutant {

namespace {

progress_listener::behavior_type listener(progress_listener::pointer, const progress_callback& call) {
  return {[call](progress_atom, const progress& p) { call(p); }};
}

result<file_ptr> open_path(const std::string& path, int flags, mode_t mode = 0) {
  const auto descriptor = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (descriptor < 0)
    return fail(errno_error(errno, "opening " + path));
  return std::make_shared<const open_file>(descriptor);
}

// Whether this is a regular file whose size is what it holds. Those of /proc say 0 and hold something, those of /sys say 4096
// and hold a line; such are read to their end instead.
bool has_true_size(const file_ptr& file) {
  struct stat s {};
  if (::fstat(file->descriptor(), &s) != 0 || !S_ISREG(s.st_mode) || s.st_size == 0)
    return false;
  std::byte last{};
  if (::pread(file->descriptor(), &last, 1, s.st_size - 1) == 0 || ::pread(file->descriptor(), &last, 1, s.st_size) > 0) {
    struct stat now {};
    return ::fstat(file->descriptor(), &now) == 0 && now.st_size != s.st_size;   // somebody writes to it, that is all
  }
  return true;
}

// All of a file of at most so many bytes that does not change meanwhile; nothing otherwise.
std::optional<bytes> read_small(const file_ptr& file, std::size_t max_bytes) {
  struct stat before {}, after {};
  if (::fstat(file->descriptor(), &before) != 0 || before.st_size < 0 || static_cast<std::uint64_t>(before.st_size) > max_bytes)
    return std::nullopt;
  buffer content(static_cast<std::size_t>(before.st_size));
  if (!read_all_at(file->descriptor(), 0, content.span(), "a small file") || ::fstat(file->descriptor(), &after) != 0)
    return std::nullopt;
  const auto same = after.st_size == before.st_size && after.st_mtim.tv_sec == before.st_mtim.tv_sec
                    && after.st_mtim.tv_nsec == before.st_mtim.tv_nsec;
  return same ? std::optional(std::move(content).freeze()) : std::nullopt;
}

// What is given counts more than what the file says.
attribute_set with_file_attributes(const attribute_set& given, const file_ptr& file) {
  struct stat s {};
  if (::fstat(file->descriptor(), &s) != 0 || !S_ISREG(s.st_mode))
    return given;
  auto all = given.values();
  all.emplace(attribute_name::mode, mode_attribute(s.st_mode));
  all.emplace(attribute_name::mtime, mtime_attribute(s.st_mtim.tv_sec * 1'000'000'000 + s.st_mtim.tv_nsec));
  return attribute_set(std::move(all));
}

}  // namespace

struct client::parts {
  explicit parts(client_options o) : options(std::move(o)), config(options.store.url) {}

  client_options options;
  system_config config;
  std::unique_ptr<caf::actor_system> system;
  store_actor store;
  std::unique_ptr<caf::scoped_actor> self;

  template <class Out, class... Args>
  result<Out> call(Args&&... args) {
    std::optional<result<Out>> out;
    (*self)
        ->request(store, options.timeout, std::forward<Args>(args)...)
        .receive([&](Out& value) { out.emplace(std::move(value)); },
                 [&](caf::error& e) { out.emplace(fail(from_caf(e))); });
    return std::move(*out);
  }

  // Runs a put or get with a listener for its time.
  template <class Out, class Atom, class Request>
  result<Out> operate(Atom atom, Request request, const progress_callback& on_progress) {
    request.options.cancellation_id = client_cancellation_id;
    if (on_progress)
      request.options.listener = start(*system, listener, on_progress);
    auto watching = request.options.listener;
    auto out = call<Out>(atom, std::move(request));
    if (watching)
      caf::anon_send_exit(watching, caf::exit_reason::user_shutdown);
    return out;
  }

  result<put_result> put(std::string key, value_source source, const put_settings& settings) {
    const auto* value = std::get_if<bytes>(&source);
    const auto watched = value == nullptr || value->size() > options.store.small_bytes;
    put_request request{std::move(key), std::move(source), settings.if_version, {}, settings.verify, settings.attributes,
                        settings.in_pads};
    return operate<put_result>(put_atom_v, std::move(request), watched ? settings.on_progress : nullptr);
  }

  result<get_result> get(std::string key, value_sink sink, const get_settings& settings) {
    get_request request;
    request.key = std::move(key);
    request.sink = std::move(sink);
    request.offset = settings.offset;
    request.length = settings.length;
    return operate<get_result>(get_atom_v, std::move(request), settings.on_progress);
  }

  ~parts() {
    if (store)
      caf::anon_send_exit(store, caf::exit_reason::user_shutdown);
    store = nullptr;
    self.reset();
    system.reset();  // waits for every actor
  }
};

client::client(std::unique_ptr<parts> p) : parts_(std::move(p)) {}
client::client(client&&) noexcept = default;
client& client::operator=(client&&) noexcept = default;
client::~client() = default;

result<client> client::open(client_options options) {
  auto p = std::make_unique<parts>(std::move(options));
  if (p->options.threads != 0)
    p->config.set("scheduler.max-threads", p->options.threads);
  if (auto given = check_resources(p->config, threads_of(p->options.store)); !given)
    return fail(given.error());
  p->system = std::make_unique<caf::actor_system>(p->config);
  auto store = spawn_store(*p->system, p->options.store);
  if (!store)
    return fail(store.error());
  p->options.store.owner = seed{};  // the store has it, where it is not dumped
  p->store = *store;
  p->self = std::make_unique<caf::scoped_actor>(*p->system);
  return client(std::move(p));
}

result<put_result> client::put(std::string key, bytes value, const put_settings& settings) {
  return parts_->put(std::move(key), std::move(value), settings);
}

result<put_result> client::put_file(std::string key, const std::string& path, const put_settings& settings) {
  auto file = open_path(path, O_RDONLY);
  if (!file)
    return fail(file.error());
  auto described = settings;
  described.attributes = with_file_attributes(settings.attributes, *file);
  if (!has_true_size(*file))
    return put_descriptor(std::move(key), (*file)->descriptor(), path, described);
  if (!settings.verify && !settings.may_grow)
    if (auto whole = read_small(*file, parts_->options.store.small_bytes))
      return parts_->put(std::move(key), std::move(*whole), described);
  return parts_->put(std::move(key), file_source{*file, path, settings.may_grow}, described);
}

result<put_result> client::put_descriptor(std::string key, int descriptor, std::string name, const put_settings& settings) {
  auto source = spawn_descriptor_source(*parts_->system, descriptor, std::move(name), settings.at_end);
  auto out = parts_->put(std::move(key), source, settings);
  caf::anon_send_exit(source, caf::exit_reason::user_shutdown);
  return out;
}

result<get_result> client::get(std::string key, const get_settings& settings) {
  return parts_->get(std::move(key), std::monostate{}, settings);
}

result<get_result> client::get_file(std::string key, const std::string& path, const get_settings& settings) {
  const auto place = find_output(path);
  if (!place)
    return fail(place.error());
  if (place->own_descriptor >= 0)
    return get_descriptor(std::move(key), place->own_descriptor, path, settings);
  if (place->in_place) {
    auto file = open_path(path, O_WRONLY | O_TRUNC);
    if (!file)
      return fail(file.error());
    if (::lseek((*file)->descriptor(), 0, SEEK_CUR) != -1)  // /dev/null, a disk: any order will do
      return parts_->get(std::move(key), file_sink{*file, path}, settings);
    return get_descriptor(std::move(key), (*file)->descriptor(), path, settings);
  }
  auto target = replacement_file::create(place->path);
  if (!target)
    return fail(target.error());
  auto file = std::make_shared<const open_file>(::dup(target->descriptor()), open_direct(target->descriptor()));
  auto out = parts_->get(std::move(key), file_sink{file, path, true}, settings);
  if (!out)
    return out;
  std::optional<std::int64_t> modified_ns;
  if (settings.preserve) {
    modified_ns = mtime_of(out->attributes);
    // What would let a program run as somebody else is not taken from a value.
    if (const auto mode = mode_of(out->attributes); mode && ::fchmod(target->descriptor(), *mode & 0777) != 0)
      return fail(errno_error(errno, "setting the mode of " + path));
  }
  if (auto finished = target->commit(out->bytes_read, modified_ns); !finished)
    return fail(finished.error());
  return out;
}

result<get_result> client::get_descriptor(std::string key, int descriptor, std::string name, const get_settings& settings) {
  auto sink = spawn_descriptor_sink(*parts_->system, descriptor, std::move(name));
  auto out = parts_->get(std::move(key), sink, settings);
  caf::anon_send_exit(sink, caf::exit_reason::user_shutdown);
  return out;
}

result<check_result> client::check(std::string key, const std::string& against) {
  check_request request;
  request.key = std::move(key);
  if (!against.empty()) {
    auto file = open_path(against, O_RDONLY);
    if (!file)
      return fail(file.error());
    request.against = *file;
  }
  return parts_->operate<check_result>(check_atom_v, std::move(request), {});
}

result<put_result> client::repair(std::string key, const std::string& from, const put_settings& settings) {
  auto file = open_path(from, O_RDONLY);
  struct stat s {};
  if (!file || ::fstat((*file)->descriptor(), &s) != 0)
    return fail(file ? errno_error(errno, "looking at " + from) : file.error());
  auto found = check(key);
  if (!found)
    return fail(found.error());
  if (found->bad.empty())
    return put_result{found->size, found->version, 0, found->chunks, 0, found->size, false};
  check_request proof;
  proof.key = key;
  proof.against = *file;
  auto compared = parts_->operate<check_result>(check_atom_v, std::move(proof), {});
  if (!compared)
    return fail(compared.error());
  if (compared->version != found->version)
    return fail(errc::version_mismatch, "the value was replaced meanwhile");
  if (!S_ISREG(s.st_mode) || static_cast<std::uint64_t>(s.st_size) != found->size)
    return fail(errc::invalid_argument, from + " is not the same value: it has " + std::to_string(s.st_size) + " bytes, not "
                                            + std::to_string(found->size));
  if (!compared->bad.empty())
    return fail(errc::invalid_argument, from + " is not the same value: it differs in bytes "
                                            + std::to_string(compared->bad.front().offset) + " to "
                                            + std::to_string(compared->bad.front().offset + compared->bad.front().length - 1));
  auto how = settings;
  how.if_version = found->version;
  how.verify = true;
  how.attributes = found->attributes;
  return parts_->put(std::move(key), file_source{*file, from}, how);
}

result<void> client::remove(std::string key, std::optional<std::uint64_t> if_version, bool wipe) {
  auto out = parts_->call<done>(remove_atom_v, remove_request{std::move(key), if_version, wipe});
  if (!out)
    return fail(out.error());
  return {};
}

result<void> client::rename(std::string from, std::string to) {
  auto out = parts_->call<done>(rename_atom_v, rename_request{std::move(from), std::move(to)});
  if (!out)
    return fail(out.error());
  return {};
}

result<commit_result> client::assemble(assemble_request request) {
  return parts_->call<commit_result>(assemble_atom_v, std::move(request));
}

result<list_page> client::list(std::string prefix, std::string after, std::uint32_t limit) {
  return parts_->call<list_page>(list_atom_v, list_request{std::move(prefix), std::move(after), limit});
}

result<list_item> client::find(std::string key) {
  return parts_->call<list_item>(find_atom_v, std::move(key));
}

result<sync_report> client::sync() {
  return parts_->call<sync_report>(sync_atom_v);
}

result<sync_report> client::sync(position expected) {
  return parts_->call<sync_report>(sync_atom_v, std::move(expected));
}

result<store_stats> client::stats() {
  return parts_->call<store_stats>(stats_atom_v);
}

result<purge_result> client::purge(purge_request request) {
  return parts_->operate<purge_result>(purge_atom_v, std::move(request), {});
}

result<void> client::flush() {
  auto out = parts_->call<done>(flush_atom_v);
  if (!out)
    return fail(out.error());
  return {};
}

void client::cancel() noexcept {
  caf::anon_send(parts_->store, cancel_atom_v, client_cancellation_id);
}

caf::actor_system& client::system() noexcept {
  return *parts_->system;
}

const store_actor& client::store() const noexcept {
  return parts_->store;
}

}  // namespace mutant
