import Files
import Parquet
import TestSupport
import Testing

/// Files written by pyarrow; `generate.py` beside them says how, `expected.json` what it reads.
@Suite struct PyarrowFilesTests {
  static let expected: [(name: String, file: JSONReader)] = {
    let path = fixturePath("parquet/expected.json")
    guard let members = try? JSONReader(contentsOf: path).members() else { return [] }
    return members.map { (name: $0.key, file: $0.value) }
  }()

  static let names = expected.map(\.name)

  @Test("there are files of all kinds")
  func filesOfAllKinds() { #expect(Self.names.count > 45) }

  @Test("every column of a file equals what pyarrow reads", arguments: names)
  func columnsEqualPyarrow(name: String) throws {
    let expected = try #require(Self.expected.first { $0.name == name }).file
    let file = try ParquetFile(path: fixturePath("parquet/\(name).parquet"))
    #expect(file.rowCount == (try expected.int("rows")))
    #expect(file.rowGroups.count == (try expected.int("row_groups")))
    let columns = try expected["columns"].elements()
    #expect(try file.columns.map(\.name) == columns.map { try $0.string("name") })
    for (column, description) in zip(file.columns, columns) {
      #expect("\(column.physicalType)" == (try description.string("physical_type")))
      let digest = try file.digest(of: column)
      if let sum = try description.optional("values_sha256") {
        #expect(digest.outcome == .values(sha256: try sum.string()), "\(column.name)")
      } else if case .values = digest.outcome {
        Issue.record("\(column.name) is not refused")
      }
      #expect(digest.nonNullCount == (try description.int("nonnull")), "\(column.name)")
    }
  }
}
