import DynamicLibraries

/// The processes started by a launcher, after each has introduced itself to the others.
public struct LaunchedRanks {
  public let ranks: Communicator
  /// This process's index among those on its machine that see the same devices.
  public let localRank: Int
  /// The number of those processes.
  public let localCount: Int
  /// The number of processes on its machine that may run on the same processors.
  public let sharing: Int
  /// The launcher, the transport and the number of machines; nil: there is a single process.
  public let summary: String?
  /// The processor models, if there are several: last bits may depend on the assignment.
  public let processors: [String]

  /// A process's description for the others.
  public struct Introduction: Equatable, Sendable {
    public var host: String
    /// Equal for equal programs.
    public var program: String
    /// The kind of processor.
    public var processor: String
    /// Equal for processes that may run on the same processors of a machine.
    public var affinity: String
    /// Equal for processes that see the same devices of a machine.
    public var devices: String

    public init(
      host: String, program: String, processor: String, affinity: String, devices: String
    ) {
      self.host = host
      self.program = program
      self.processor = processor
      self.affinity = affinity
      self.devices = devices
    }

    fileprivate var bytes: [UInt8] {
      Array([host, program, processor, affinity, devices].joined(separator: "\0").utf8)
    }

    fileprivate init(_ bytes: [UInt8]) {
      let parts = String(decoding: bytes, as: UTF8.self)
        .split(separator: "\0", maxSplits: 4, omittingEmptySubsequences: false).map(String.init)
      func part(_ index: Int) -> String { index < parts.count ? parts[index] : "" }
      self.init(
        host: part(0), program: part(1), processor: part(2), affinity: part(3), devices: part(4))
    }
  }

  /// Creates a single process.
  ///
  /// - Parameter environment: may contain its index on its machine, if a launcher started it with
  ///   others that do something else
  public init(aloneIn environment: [String: String] = [:]) {
    ranks = Communicator()
    localRank = Launcher.localRank(environment: environment)
    (localCount, sharing, summary, processors) = (1, 1, nil, [])
  }

  /// Connects to the other processes, if the environment indicates any.
  ///
  /// Otherwise no library is loaded.
  ///
  /// - Throws: ``RanksError`` if they cannot work together
  public init(
    environment: [String: String], introduction: () throws -> Introduction
  ) throws {
    guard let launcher = try Launcher(environment: environment) else {
      self.init()
      return
    }
    guard let loaded = DynamicLibrary(anyOf: launcher.libraries, isGlobal: true) else {
      throw RanksError.noLibrary(launcher: launcher.name, tried: launcher.libraries)
    }
    let library = try MPILibrary(loaded)
    let (rank, size) = try library.start()
    guard size == launcher.count else {
      let version = library.version
      library.finish()
      throw RanksError.otherLibrary(
        launcher: launcher.name, count: launcher.count, library: library.name, found: version,
        size: size)
    }
    try self.init(
      Communicator(MPIRanks(library: library, rank: rank, count: size)), try introduction(),
      by: "\(launcher.name), \(library.version)")
  }

  /// - Parameter launcher: the launcher's name, for display
  public init(
    _ ranks: Communicator, _ introduction: Introduction, by launcher: String
  ) throws {
    let all = try ranks.gather(introduction.bytes).map { Introduction($0) }
    if let other = all.firstIndex(where: { $0.program != all[0].program }) {
      throw RanksError.otherProgram(rank: other, host: all[other].host)
    }
    let own = all[ranks.rank]
    self.ranks = ranks
    func seesTheSame(_ other: Introduction) -> Bool {
      other.host == own.host && other.devices == own.devices
    }
    localRank = all[..<ranks.rank].filter(seesTheSame).count
    localCount = all.filter(seesTheSame).count
    sharing = all.filter { $0.host == own.host && $0.affinity == own.affinity }.count
    let hosts = Set(all.map(\.host)).count
    summary =
      "\(ranks.count) ranks on \(hosts) machine\(hosts == 1 ? "" : "s"), by \(launcher)"
    let kinds = Set(all.map(\.processor)).sorted()
    processors = kinds.count > 1 ? kinds : []
  }
}
