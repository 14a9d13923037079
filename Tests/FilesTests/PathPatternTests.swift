import Files
import Foundation
import TestSupport
import Testing

@Suite struct PathPatternTests {
  private static let files = [
    "a.parquet", "b.parquet", "c.csv", ".hidden.parquet", "x[1].parquet", "x1.parquet", "é.parquet",
    "sub/a.parquet", "sub/deep/a.parquet", "sub/deep/er/z.csv", "sub/.dot/a.parquet",
    "other/a.parquet",
  ]

  /// The results of Python's `glob.glob(pattern, recursive=True)` for these files, sorted.
  @Test(
    "patterns mean what they mean in Python",
    arguments: [
      ("*.parquet", ["a.parquet", "b.parquet", "x1.parquet", "x[1].parquet", "é.parquet"]),
      ("[ab].parquet", ["a.parquet", "b.parquet"]), ("[a-b].parquet", ["a.parquet", "b.parquet"]),
      ("[!a].parquet", ["b.parquet", "é.parquet"]),
      ("?.parquet", ["a.parquet", "b.parquet", "é.parquet"]),
      ("[^a].parquet", ["a.parquet"]), ("x[[]1].parquet", ["x[1].parquet"]),
      ("x[1].parquet", ["x1.parquet"]), ("[]a].parquet", ["a.parquet"]), ("[b-a].parquet", []),
      ("[a.parquet", []), (".*", [".hidden.parquet"]),
      (
        "*",
        [
          "a.parquet", "b.parquet", "c.csv", "other", "sub", "x1.parquet", "x[1].parquet",
          "é.parquet",
        ]
      ),
      ("*/", ["other/", "sub/"]), ("sub/", ["sub/"]), ("a.parquet/", []), ("missing/*", []),
      ("*/a.parquet", ["other/a.parquet", "sub/a.parquet"]),
      ("**/a.parquet", ["a.parquet", "other/a.parquet", "sub/a.parquet", "sub/deep/a.parquet"]),
      ("sub/**/*.csv", ["sub/deep/er/z.csv"]),
      ("sub/**/deep/*", ["sub/deep/a.parquet", "sub/deep/er"]),
      ("**/**/a.parquet", ["a.parquet", "other/a.parquet", "sub/a.parquet", "sub/deep/a.parquet"]),
      (
        "sub/deep/**",
        [
          "sub/deep/", "sub/deep/a.parquet", "sub/deep/er", "sub/deep/er/z.csv",
        ]
      ),
      ("sub/**/", ["sub/", "sub/deep/", "sub/deep/er/"]), ("sub/.dot/*", ["sub/.dot/a.parquet"]),
      ("sub/.*/*", ["sub/.dot/a.parquet"]), ("s**/a.parquet", ["sub/a.parquet"]),
      ("sub//a.parquet", ["sub//a.parquet"]), ("./a.parquet", ["./a.parquet"]),
      ("a.parquet", ["a.parquet"]), ("absent.parquet", []),
    ] as [(String, [String])])
  func matches(pattern: String, expected: [String]) throws {
    try withTemporaryFolder { folder in
      for file in Self.files {
        let path = "\(folder)/\(file)"
        try FileManager.default.createDirectory(
          atPath: String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]),
          withIntermediateDirectories: true)
        try AtomicFile.replace(path, with: [])
      }
      let found = try PathPattern("\(folder)/\(pattern)").paths()
      #expect(found.map { String($0.dropFirst(folder.count + 1)) } == expected)
      // The same is known of paths without looking.
      for path in expected { #expect(PathPattern(pattern).matches(path: path), "\(path)") }
      guard !pattern.hasSuffix("/"), !pattern.contains("//") else { return }
      for file in Self.files where !expected.contains(where: { $0.hasSuffix(file) }) {
        #expect(!PathPattern(pattern).matches(path: file), "\(file)")
      }
    }
  }

  @Test("links in a circle end, and are followed otherwise")
  func links() throws {
    try withTemporaryFolder { folder in
      let manager = FileManager.default
      try manager.createDirectory(atPath: "\(folder)/a/b", withIntermediateDirectories: true)
      try AtomicFile.replace("\(folder)/a/b/x.csv", with: [])
      try manager.createSymbolicLink(atPath: "\(folder)/a/b/up", withDestinationPath: "\(folder)/a")
      try manager.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "\(folder)/a/b")
      #expect(
        try PathPattern("\(folder)/**/x.csv").paths() == [
          "\(folder)/a/b/x.csv", "\(folder)/link/x.csv",
        ])
    }
  }

  @Test("paths that do not exist are matched from the root, or from the current folder")
  func absolute() {
    #expect(PathPattern("/x/**/*.csv").matches(path: "/x/y/z.csv"))
    #expect(!PathPattern("/x/*.csv").matches(path: "x/z.csv"))
    #expect(!PathPattern("x/*.csv").matches(path: "/x/z.csv"))
    #expect(!PathPattern("/x/*.csv").matches(path: "/x"))
    #expect(!PathPattern("").matches(path: "x"))
  }

  @Test("many stars take no time")
  func manyStars() throws {
    try withTemporaryFolder { folder in
      let name = String(repeating: "a", count: 200)
      try AtomicFile.replace("\(folder)/\(name)", with: [])
      let stars = String(repeating: "*a", count: 90)
      #expect(try PathPattern("\(folder)/\(stars)b").paths().isEmpty)
      #expect(try PathPattern("\(folder)/\(stars)*").paths().count == 1)
    }
  }

  @Test("what is escaped matches itself; folders before the first choice are literal")
  func parts() {
    #expect(PathPattern.escaped("a[1]*?.b") == "a[[]1][*][?].b")
    #expect(PathPattern("/x/y/*/z").literalFolder == "/x/y")
    #expect(PathPattern("/x/y.csv").literalFolder == "/x")
    #expect(!PathPattern("/x/y").hasWildcards)
  }
}

@Suite struct NameTests {
  @Test("names that would lead elsewhere are none")
  func safeNames() {
    for name in ["train", "validation_unique", "v1.2-b", "A", String(repeating: "x", count: 100)] {
      #expect(SafeName(name)?.text == name)
    }
    for name in [
      "", ".", "..", ".x", "a/b", "../x", "a\\b", "a b", "a\u{0}", "é", "a\n", "-/",
      String(repeating: "x", count: 101),
    ] {
      #expect(SafeName(name) == nil, "\(name.printable)")
    }
  }

  @Test("what a terminal would obey is shown, not sent")
  func printable() {
    #expect("plain äé中🙂 text".printable == "plain äé中🙂 text")
    #expect("\u{1b}[31mred\u{7}".printable == "\\u{1b}[31mred\\u{7}")
    #expect("a\nb\r\tc".printable == "a\\nb\\r\\tc")
    #expect("\u{202e}desrever\u{9b}1m\u{7f}".printable == "\\u{202e}desrever\\u{9b}1m\\u{7f}")
  }
}
