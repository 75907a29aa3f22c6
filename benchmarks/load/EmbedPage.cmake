# cmake -D from=report.html -D to=report_page.cpp -P EmbedPage.cmake
# The bytes of the page as an array: unlike a string literal it has no limit on its length and nothing to escape.
file(READ "${from}" page HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," page "${page}")
file(WRITE "${to}"
  "namespace mutant::load {\nextern const char report_page[];\n"
  "const char report_page[] = {${page}0};\n}  // namespace mutant::load\n")
