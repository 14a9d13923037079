import Files
import Foundation
import Testing

/// The settings and messages that the documentation quotes are the program's.
@Suite(.serialized) struct DocumentedNamesTests {
  @Test("every setting that a text names is there")
  func settings() throws {
    let known = try KnownSettings()
    for page in try Markdown.documentation() where page.path != "docs/settings.md" {
      for span in page.codeSpans {
        guard let match = span.wholeMatch(of: /([a-z]+)\.([a-z0-9_]+)([:=].*)?/),
          let settings = known.byStage[String(match.1)]
        else { continue }
        #expect(settings.contains(String(match.2)), "\(page.path): \(span)")
      }
    }
  }

  @Test("every setting in a piece of a pipeline is there")
  func pipelines() throws {
    let known = try KnownSettings()
    var count = 0
    for page in try Markdown.documentation() {
      for block in page.blocks where block.prefixMatch(of: /[a-z_]+:\s/) != nil {
        // A piece of a file, or a choice on each line.
        let pieces =
          (try? JSON(parsing: "{\(block)\n}", dialect: .json5, source: page.path)).map { [$0] }
        for piece in try pieces
          ?? block.split(separator: "\n").map({
            try JSON(parsing: "{\($0)\n}", dialect: .json5, source: page.path)
          })
        {
          count += 1
          for (name, value) in try JSONReader(piece, path: page.path).object() {
            guard let settings = known.byStage[name] else {
              #expect(known.isShared(name), "\(page.path): \(name)")
              continue
            }
            for (key, _) in value.object ?? JSON.Object() {
              #expect(settings.contains(key), "\(page.path): \(name).\(key)")
            }
          }
        }
      }
    }
    #expect(count >= 3, "pieces of pipelines are not found any more")
  }

  /// The sources as one text, in which a literal that continues in the next line is one.
  private func sources() throws -> String {
    let folder = "\(repository)/Sources"
    let paths = (FileManager.default.enumerator(atPath: folder)?.allObjects ?? [])
      .compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") || $0.hasSuffix(".h") }
    return try paths.map { path in
      let bytes = try RegularFile(path: "\(folder)/\(path)").readAll()
      return String(decoding: bytes, as: UTF8.self).replacingOccurrences(
        of: #""\s*\+\s*""#, with: "", options: .regularExpression)
    }.joined()
  }

  @Test("every message that docs/troubleshooting.md explains is one of the program")
  func messages() throws {
    let sources = try sources()
    let path = "docs/troubleshooting.md"
    let text = String(
      decoding: try RegularFile(path: "\(repository)/\(path)").readAll(), as: UTF8.self)
    let messages = text.matches(of: /\*\*`([^`]+)`/).map { String($0.1) }
    #expect(messages.count >= 40)
    for message in messages {
      // What differs from case to case: capitals, numbers, quoted names, three points.
      let parts = message.split(
        separator: /\.\.\.|…|"[^"]*"|[A-Z][A-Z0-9-]*|[0-9][0-9a-f.]*|[,;:()?]/
      )
      .map { $0.trimmingCharacters(in: .whitespaces) }.filter { $0.count { $0.isLetter } >= 8 }
      #expect(!parts.isEmpty, "\(message)")
      for part in parts where !sources.contains(part) {
        Issue.record("\(path): no message has \"\(part)\", of: \(message)")
      }
    }
  }
}
