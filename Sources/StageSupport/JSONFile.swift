package import Files

/// Writes a JSON file as people read it.
package func writeJSON(_ value: JSON, to path: String) throws {
  try AtomicFile.replace(path, with: Array((value.text(.pretty) + "\n").utf8))
}
