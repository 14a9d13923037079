import Testing

/// Package.swift, the sources and the table in CONTRIBUTING.md agree about what may use what.
@Suite struct LayerTests {
  @Test("every kind of import is recognized")
  func imports() {
    let source = """
      import Alpha
      public import Beta
      package import struct Gamma.Part
      @testable import Delta
      @preconcurrency internal import Epsilon
      @_spi(Testing) import func Zeta.part
      // import Eta
      let text = "import Theta"
      """
    #expect(
      Manifest.imports(of: source) == ["Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta"])
  }

  @Test("a target imports the targets that it declares, all of them and no others")
  func dependencies() throws {
    let targets = try Manifest().targets
    #expect(targets.count >= 60, "targets are not found any more")
    // Tests run a program without importing it.
    let importable = Set(targets.filter { $0.kind != .executableTarget }.map(\.name))
    for target in targets where target.kind != .systemLibrary {
      let imported = try target.imports().intersection(importable)
      let declared = Set(target.dependencies).intersection(importable)
      #expect(
        imported.subtracting(declared).isEmpty, "\(target.name) does not declare what it imports")
      #expect(
        declared.subtracting(imported).isEmpty, "\(target.name) does not import what it declares")
    }
  }

  @Test("in Package.swift a target stands below all that it depends on")
  func order() throws {
    var above: Set<String> = []
    for target in try Manifest().targets {
      let missing = Set(target.dependencies).subtracting(above)
      #expect(missing.isEmpty, "\(target.name) stands above \(missing)")
      above.insert(target.name)
    }
  }

  @Test("CONTRIBUTING.md's table has every target, in rows that depend only on rows below them")
  func table() throws {
    let targets = try Manifest().targets.filter { !$0.isTest }
    let names = Set(targets.map(\.name))
    let rows = try Markdown(path: "CONTRIBUTING.md").tableRows
      .map { row in (row.first ?? "").matches(of: /`(\w+)`/).map { String($0.1) } }
      .filter { !$0.isEmpty }
    let listed = rows.joined()
    #expect(listed.sorted() == names.sorted(), "each target once")
    for target in targets {
      let row = rows.firstIndex { $0.contains(target.name) } ?? rows.count
      let below = Set(rows.dropFirst(row + 1).joined())
      let missing = Set(target.dependencies).subtracting(below)
      #expect(missing.isEmpty, "\(target.name) does not stand above \(missing)")
    }
  }
}
