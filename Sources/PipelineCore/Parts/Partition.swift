public import Files

/// One of `count` parts into which the items of a stage are divided; `index` from 1.
///
/// The command states the number of parts, since neither the smallest nor the largest index of a
/// job array gives it: an array may be submitted for only a few of its parts.
public struct Partition: Equatable, Sendable, CustomStringConvertible {
  public let index: Int
  public let count: Int
  /// The environment variable that gave the index; nil: the command did.
  public let variable: String?

  public init(index: Int, of count: Int) throws(PartitionError) {
    guard count >= 1, (1...count).contains(index) else {
      throw .outOfRange(index: index, count: count)
    }
    self.init(index, count, variable: nil)
  }

  private init(_ index: Int, _ count: Int, variable: String?) {
    (self.index, self.count, self.variable) = (index, count, variable)
  }

  /// Parses `7/64`, or `auto/64`, whose index comes from the environment.
  public init(_ text: String, environment: [String: String]) throws(PartitionError) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let count = Self.number(parts[1]), count >= 1 else {
      throw .malformed(isAutomatic: parts.first == "auto")
    }
    guard parts[0] == "auto" else {
      guard let index = Self.number(parts[0]) else { throw .malformed(isAutomatic: false) }
      try self.init(index: index, of: count)
      return
    }
    guard let found = Self.variables.first(where: { $0.isSet(in: environment) }) else {
      throw .noVariable(known: Self.variables.map(\.name))
    }
    let index = try found.index(of: count, in: environment)
    if found.isOfJobs, let rank = Self.variables.first(where: { $0.saysAnother(in: environment) }) {
      throw .repeated(variable: found.name, rank: rank.name, value: environment[rank.name] ?? "")
    }
    self.init(index, count, variable: found.name)
  }

  public var description: String { "\(index)/\(count)" }

  /// Whether the item at this position among all items of the stage belongs to the part.
  package func contains(position: Int) -> Bool { position % count == index - 1 }

  /// ASCII digits alone.
  fileprivate static func number(_ text: some StringProtocol) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return Int(text)
  }
}

// MARK: - Job engines

extension Partition {
  /// A variable in which an engine gives a job's index.
  private struct Variable {
    let name: String
    /// The index of the first job.
    let first: Int
    /// Whether zero means that the job belongs to no array.
    var isUnsetAtZero = false
    let giver: Giver

    enum Giver {
      /// The user, or an engine that numbers jobs in one setup and processes in another.
      case other
      /// The same value for all processes of a job.
      case jobs
      /// A separate value for each process of a job.
      case launcher
    }

    var isOfJobs: Bool { giver == .jobs }

    /// Whether this is not the first process of its job.
    func saysAnother(in environment: [String: String]) -> Bool {
      guard giver == .launcher, let value = environment[name] else { return false }
      return (Partition.number(value) ?? 0) > 0
    }

    func isSet(in environment: [String: String]) -> Bool {
      guard let value = environment[name] else { return false }
      return !(isUnsetAtZero && value == "0")
    }

    func index(of count: Int, in environment: [String: String]) throws(PartitionError) -> Int {
      let value = environment[name] ?? ""
      guard let number = Partition.number(value) else {
        throw .badVariable(name: name, value: value)
      }
      guard number >= first, number - first < count else {
        throw .variableOutOfRange(name: name, value: number, first: first, count: count)
      }
      return number - first + 1
    }
  }

  /// The first variable that is set counts: the user's own, then job arrays, then ranks, since the
  /// jobs of an array may have ranks, too.
  private static let variables = [
    Variable(name: "SPO_PARTITION", first: 1, giver: .other),
    Variable(name: "SLURM_ARRAY_TASK_ID", first: 1, giver: .jobs),
    Variable(name: "JOB_COMPLETION_INDEX", first: 0, giver: .jobs),
    Variable(name: "AWS_BATCH_JOB_ARRAY_INDEX", first: 0, giver: .jobs),
    Variable(name: "CLOUD_RUN_TASK_INDEX", first: 0, giver: .jobs),
    Variable(name: "PBS_ARRAY_INDEX", first: 1, giver: .jobs),
    Variable(name: "LSB_JOBINDEX", first: 1, isUnsetAtZero: true, giver: .jobs),
    Variable(name: "RANK", first: 0, giver: .other),
    Variable(name: "OMPI_COMM_WORLD_RANK", first: 0, giver: .launcher),
    Variable(name: "PMIX_RANK", first: 0, giver: .launcher),
    Variable(name: "PMI_RANK", first: 0, giver: .launcher),
    Variable(name: "SLURM_PROCID", first: 0, giver: .launcher),
  ]
}

/// A `--partition` that selects no part.
public enum PartitionError: ClassifiedError, Equatable, CustomStringConvertible {
  case malformed(isAutomatic: Bool)
  case outOfRange(index: Int, count: Int)
  case noVariable(known: [String])
  case badVariable(name: String, value: String)
  /// Several processes of one array job, each of which would compute the job's part.
  case repeated(variable: String, rank: String, value: String)
  /// `first`: the smallest value of the variable
  case variableOutOfRange(name: String, value: Int, first: Int, count: Int)

  public var kind: FailureKind { .usage }

  public var description: String {
    switch self {
    case .malformed(true):
      "the number of parts is missing: auto reads only the index from the environment; write auto/N"
    case .malformed(false): "must be I/N or auto/N, such as 7/64"
    case .outOfRange(let index, let count):
      count < 1 ? "there must be at least one part" : "\(index) must be 1 to \(count)"
    case .noVariable(let known):
      "the part index is unknown; set one of \(known.joined(separator: ", ")), or write I/N"
    case .badVariable(let name, let value):
      "\(name) must be an integer, but is \"\(value.printable)\""
    case .repeated(let variable, let rank, let value):
      "\(variable) gives every process of this job the same part, and this is a further process (\(rank) is "
        + "\(value.printable)); start one process per job, or set SPO_PARTITION for each"
    case .variableOutOfRange(let name, let value, let first, let count):
      "\(name) is \(value), but indices start at \(first): the \(count) parts are \(first) to "
        + "\(first + count - 1)"
        + (first == 1 && value == 0 ? "; submit the array as 1-\(count)" : "")
    }
  }
}
