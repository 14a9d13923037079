import CommandSyntax
import Files

/// `spo inspect`: shows a file's kind, its contents and its problems.
enum Inspect: Command {
  /// The kinds of files recognized by their first bytes, in order of precedence.
  static var inspectors: [any FileInspector.Type] {
    [DatabaseInspector.self, ParquetInspector.self, CheckpointInspector.self]
  }

  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "inspect", summary: "Show what a file is, what is in it and what is wrong with it.",
      operands: [CommandSyntax.Operand("FILE|FOLDER")],
      options: [
        .flag("json", "print one JSON object"),
        .flag("tensors", "list all tensors of a checkpoint"),
        .flag("digest", "add digests of the contents, where available"),
        .flag("rejected", "for a catalog: only the rejected rows, as CSV"),
      ],
      examples: [
        ("spo inspect runs/quickstart/catalog.sqlite", "how many pairs, how many rejected rows"),
        (
          "spo inspect runs/quickstart/catalog.sqlite --rejected > rejected.csv",
          "each rejected row with its file, column and reason"
        ),
        ("spo inspect data/tiny-sd", "which model a folder contains"),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let path = present(arguments.operands[0])
    if arguments.has("rejected") {
      guard PathKind(of: path) != .folder else {
        throw arguments.error("--rejected needs a catalog, such as \(path)/catalog.sqlite")
      }
      return try Console.print(try DatabaseInspector.rejectedRows(path: path))
    }
    if let report = try named(path) { return try show(report, arguments) }
    let file = try RegularFile(path: path)
    let head = try file.read(at: 0, count: min(file.size, 64))
    guard let inspector = inspectors.first(where: { $0.recognizes(head: head) }) else {
      try file.requireNoMistake(expected: "a file that spo inspect reads")
      let kinds = (inspectors.map { $0.kinds } + TextInspector.kinds).joined(separator: ", ")
      throw InspectionError.unknownKind(path: path, size: file.size, kinds: kinds)
    }
    try show(
      try inspector.inspect(path: path, arguments), arguments)
  }

  /// Returns the path, or, for an incomplete result, that of its unfinished version.
  private static func present(_ path: String) -> String {
    let building = path + ".building"
    guard PathKind(of: path) == nil, PathKind(of: building) != nil else { return path }
    Console.complain("note: \(path) is incomplete; showing \(building)".printable)
    return building
  }

  /// Inspects a folder, or a file of a kind recognized by name; nil: the first bytes decide.
  private static func named(_ path: String) throws -> InspectionReport? {
    if PathKind(of: path) == .folder { return try FolderInspector.inspect(path: path) }
    return try TextInspector.inspect(path: path)
  }

  private static func show(_ report: InspectionReport, _ arguments: Arguments) throws {
    try Console.print(arguments.has("json") ? report.json.text(.pretty) : report.text)
    guard let first = report.problems.first else { return }
    for problem in report.problems.dropFirst().prefix(shownProblems - 1) {
      Console.complain("error: \(problem)".printable)
    }
    let rest = report.problems.count - shownProblems
    if rest > 0 { Console.complain("error: \(Spelled.count(rest)) more; --json lists all") }
    throw first
  }

  private static let shownProblems = 10
}

/// An inspector of one kind of file.
protocol FileInspector {
  /// The supported kinds, in words.
  static var kinds: String { get }
  /// Whether the first bytes, at most 64, are those of this kind.
  static func recognizes(head: [UInt8]) -> Bool
  /// - Throws: the file's own error if it is damaged.
  static func inspect(path: String, _ arguments: Arguments) throws -> InspectionReport
}

/// The findings, for programs and for display.
struct InspectionReport {
  private(set) var json: JSON
  let text: String
  /// The problems as errors, the first of which decides the exit code.
  let problems: [any Error]

  init(json: JSON, text: String, problems: [any Error] = []) {
    self.json = json
    self.text = text
    self.problems = problems
    guard !problems.isEmpty, var object = json.object else { return }
    object["problems"] = .array(problems.map { .string("\($0)") })
    self.json = .object(object)
  }
}

enum InspectionError: ClassifiedError, CustomStringConvertible {
  case unknownKind(path: String, size: Int, kinds: String)

  var kind: FailureKind { .input }

  var description: String {
    switch self {
    case .unknownKind(let path, let size, let kinds):
      "\(path): unsupported file type (\(size) bytes); spo inspect reads \(kinds)"
    }
  }
}
