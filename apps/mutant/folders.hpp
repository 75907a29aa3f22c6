// What put, get, rm and du have in common where they are about folders: options, what is said on the way, and the end.
#pragma once

#include "actors/folders/folders.hpp"
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

struct folder_arguments {
  bool recursive = false;
  bool by_glob = false;                    // get, rm
  bool owners = false;
  bool checksum = false;
  bool remove_others = false;
  bool one_file_system = false;            // put
  bool dry_run = false;
  std::vector<std::string> excludes;
  std::vector<std::string> exclude_files;

  // The first option given that goes with folders alone; empty: none.
  std::string_view only_for_folders() const;
  folder_arguments resolved(const arguments& words) const;
};

enum class folder_command { put, get, rm };
// Adds -r and what goes with it.
std::shared_ptr<folder_arguments> add_folder_options(CLI::App& parser, folder_command of);

// Each returns the exit code.
int put_folder(context& c, const std::string& folder, const std::string& prefix, const folder_arguments& given);
// `what`: a prefix, or a pattern.
int get_folder(context& c, const std::string& what, const std::string& folder, const folder_arguments& given);
int remove_folder(context& c, const std::string& what, const folder_arguments& given, bool wipe);

}  // namespace mutant::cli
