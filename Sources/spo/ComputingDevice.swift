import Backends
import CommandSyntax
import Devices
import Files
import HostResources
import PipelineCore
import Ranks
import StageSupport

/// The device of a command, as selected by the setting `device` or the option `--device`.
struct ComputingDevice {
  /// Nil: the host.
  let backend: DeviceBackend?

  static let option = CommandSyntax.Option.value(
    "device", "NAME", "auto (a GPU if available), cpu, cuda[:N] or opencl[:N] (auto)")

  static let precisionOption = CommandSyntax.Option.value(
    "device-precision", "NAME",
    "on a GPU: f32, tf32 for tensor cores, f16 for half the memory, or auto: tf32 if it has such cores (auto)"
  )

  /// - Parameter isUnproven: whether the device may compute wrongly
  /// - Throws: `UsageError`, and errors of ``init(_:_:_:isUnproven:)``
  init(_ arguments: Arguments, isUnproven: Bool = false) throws {
    try self.init(
      Self.choice(arguments), Self.precision(arguments), LaunchedRanks(), isUnproven: isUnproven)
  }

  /// - Throws: `UsageError`
  static func precision(_ arguments: Arguments) throws -> DevicePrecision {
    let precision: DevicePrecision = try arguments.choice("device-precision") ?? .automatic
    if precision != .automatic, arguments.value("device") == "cpu" {
      throw arguments.error(
        "--device-precision \(precision.rawValue) has no effect with --device cpu")
    }
    return precision
  }

  /// - Throws: `UsageError`
  static func choice(_ arguments: Arguments) throws -> DeviceChoice {
    let text = arguments.value("device") ?? "auto"
    guard let choice = DeviceChoice(text) else {
      throw arguments.error(
        "--device must be \(DeviceChoice.expectation), but is \"\(text)\""
          + (DeviceChoice.meant(by: text).map { "; did you mean \"\($0)\"?" } ?? ""))
    }
    return choice
  }

  /// Returns the device that other processes are to open, before any is opened; nil: the host.
  ///
  /// - Throws: `UsageError`, or ``DeviceError`` if there is no such device
  static func name(_ arguments: Arguments) throws -> String? {
    switch try choice(arguments) {
    case .host: return nil
    case .device(let device):
      try Devices.require(device)
      return try Devices.name(of: device, for: 0)
    case .automatic: return DeviceSelection(automatic(), for: 0).usable.first?.name
    }
  }

  private static func automatic() -> [Devices.Found] {
    let gpus = Devices.automatic
    if let reason = Devices.brokenDriver { Console.note("note: no GPU through CUDA: \(reason)") }
    // An unusable GPU deserves a note: the host is a thousand times slower.
    for found in gpus {
      guard let flaw = found.flaw else { continue }
      Console.note("note: \(found.name), \(found.description.product), is not used: \(flaw)")
    }
    return gpus
  }

  /// - Parameter launched: the cooperating processes, each of which takes the next device of its
  ///   machine
  /// - Throws: ``DeviceError`` if the device does not exist, ``DeviceCheck/Failure`` if it computes
  ///   wrongly
  init(
    _ choice: DeviceChoice, _ precision: DevicePrecision, _ launched: LaunchedRanks,
    isUnproven: Bool = false
  ) throws {
    func open(_ name: String) throws -> DeviceBackend {
      let device = try Devices.open(name, precision: precision.ofProducts)
      let proven = isUnproven ? device : try Self.proven(device)
      Console.note("computing on \(name), \(device.description.product)")
      return proven
    }
    switch choice {
    case .host: backend = nil
    case .device(let device):
      let name = try Devices.name(of: device, for: launched.localRank)
      backend = try open(name)
      if name != device { Self.noteSharing(Devices.count(of: device), launched) }
    case .automatic:
      let selection = DeviceSelection(Self.automatic(), for: launched.localRank)
      backend = try selection.firstRight(isAlone: launched.ranks.isAlone) { candidate in
        try open(candidate.name)
      } passOver: { error, next in
        Console.complain("note: computing on \(next?.name ?? "the CPU"), since \(error)")
      }
      if backend != nil { Self.noteSharing(selection.usable.count, launched) }
    }
    if backend == nil, precision != .automatic, launched.ranks.isFirst {
      Console.note("note: a device precision of \(precision.rawValue) has no effect on the CPU")
    }
  }

  /// Reports, on rank 0, that there are fewer devices than ranks.
  private static func noteSharing(_ count: Int, _ launched: LaunchedRanks) {
    guard launched.ranks.isFirst, launched.localCount > count else { return }
    Console.note(
      "note: \(launched.localCount) ranks on this machine share \(Spelled.count(count, of: "devices")), unless "
        + "the launcher gave each its own")
  }

  /// Returns a device verified, once, to compute the host's results.
  private static func proven(_ device: DeviceBackend) throws -> DeviceBackend {
    try CheckedDevices(folder: UserCacheFile.userFolder).require(device) {
      Console.note(
        "\(device.name), \(device.description.product), is new here: comparing its results with the CPU's"
      )
    }
    return device
  }

  /// Rejects a choice that a run would reject, without opening the device.
  ///
  /// - Throws: ``DeviceError`` if the device does not exist
  static func require(_ choice: DeviceChoice) throws {
    if case .device(let name) = choice { try Devices.require(name) }
  }

  /// Returns the device for the stages of a run, whose machine code is cached.
  ///
  /// - Parameter isReadOnly: whether another process maintains the cache
  func runDevice(in workspace: Workspace, isReadOnly: Bool = false) -> RunDevice {
    guard let backend else { return RunDevice("cpu") }
    func kept(_ identity: String) -> KeptCode {
      KeptCode(
        of: identity, in: workspace.kernelsPath(identity), isReadOnly: isReadOnly)
    }
    return RunDevice(backend.ownIdentity) {
      backend.canContinue(kept($0))
    } turn: { identity in
      backend.use(kept(identity))
      guard identity != backend.ownIdentity else { return }
      if !isReadOnly {
        Console.note(
          "continuing by the machine code that was kept of \(identity.printable), though this is now "
            + backend.ownIdentity)
      }
      _ = try Self.proven(backend)
    }
  }

  /// The device as stages are planned for it; nil: the host.
  var planned: PlannedDevice? {
    backend.map {
      PlannedDevice(
        $0.name, byteCount: $0.description.byteCount, activations: $0.activationFormat,
        measured: (
          $0,
          "\($0.ownIdentity), \($0.description.byteCount) bytes, driver \($0.description.driver)"
        ),
        sharesMemory: $0.description.isProcessor)
    }
  }

  /// Runs `body` with new tensors on the device.
  func perform<Result>(_ body: () throws -> Result) rethrows -> Result {
    try withBackend(backend ?? HostBackend.shared, body)
  }
}

extension DevicePrecision {
  /// In which format activations lie on a device while a model computes.
  var activations: NumberFormat { self == .half ? .half(.binary16) : .single }

  /// Nil: the device's default.
  var ofProducts: ProductPrecision? {
    switch self {
    case .automatic: nil
    case .single: .single
    case .tf32: .tf32
    case .half: .half
    }
  }
}
