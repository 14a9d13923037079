import Backends
import CommandSyntax
import Devices
import PipelineCore
import StageSupport

/// What computes with tensors in a command, as the setting `device` or the option `--device` asks.
struct ComputingDevice {
  /// Nil: the host.
  let backend: DeviceBackend?

  static let option = CommandSyntax.Option.value(
    "device", "NAME", "auto (a GPU if available), cpu, cuda[:N] or opencl[:N] (auto)")

  /// - Throws: `UsageError`, or what ``init(_:localRank:isAlone:)`` throws
  init(_ arguments: Arguments) throws {
    let text = arguments.value("device") ?? "auto"
    guard let choice = DeviceChoice(text) else {
      throw arguments.error("--device must be \(DeviceChoice.expectation), but is \"\(text)\"")
    }
    try self.init(choice)
  }

  /// - Parameters:
  ///   - localRank: the number of this process among those on its machine that work together, each of which
  ///     takes the next device, beginning with the one that is chosen
  ///   - isAlone: whether no other process computes the same; if others do, on their devices, this one does
  ///     not turn to the host
  /// - Throws: ``DeviceError`` if there is no such device, ``DeviceCheck/Failure`` if it computes wrongly
  init(_ choice: DeviceChoice, localRank: Int = 0, isAlone: Bool = true) throws {
    switch choice {
    case .host: backend = nil
    case .device(let name):
      backend = try Self.proven(Devices.open(Self.device(localRank, after: name)))
    case .automatic:
      let gpus = Devices.automatic
      // A GPU that cannot be used is worth a word: the host is a thousand times slower.
      for found in gpus {
        guard let flaw = found.flaw else { continue }
        Console.note("note: \(found.name), \(found.description.product), is not used: \(flaw)")
      }
      let usable = gpus.filter { $0.flaw == nil }
      guard !usable.isEmpty else {
        backend = nil
        return
      }
      let first = localRank % usable.count
      backend = try Self.firstProven(usable[first...] + usable[..<first], isAlone: isAlone)
    }
  }

  /// The first device that computes what the host does; nil, the host, if none does.
  ///
  /// - Throws: what is wrong with the first if this process is not alone
  private static func firstProven(_ found: ArraySlice<Devices.Found>, isAlone: Bool) throws
    -> DeviceBackend?
  {
    for (index, candidate) in zip(found.indices, found) {
      do {
        let device = try proven(Devices.open(candidate.name))
        Console.note("computing on \(candidate.name), \(candidate.description.product)")
        return device
      } catch  where isAlone && !isForNow(error) {
        let next = index + 1 < found.endIndex ? found[index + 1].name : "the CPU"
        Console.complain("note: computing on \(next), since \(error)")
      }
    }
    return nil
  }

  /// A device that computes what the host does, which is found out once.
  private static func proven(_ device: DeviceBackend) throws -> DeviceBackend {
    try CheckedDevices(folder: RateCache.userFolder).require(device) {
      Console.note(
        "\(device.name), \(device.description.product), is new here: comparing its results with the CPU's"
      )
    }
    return device
  }

  /// Whether a device may be of use once others have left it: it is not given up for the host, which is a
  /// thousand times slower.
  private static func isForNow(_ error: any Error) -> Bool {
    if case DeviceError.outOfMemory = error { true } else { false }
  }

  /// The device so many places after another of its kind, from the last to the first.
  private static func device(_ places: Int, after name: String) -> String {
    guard places > 0 else { return name }
    let kind = name.prefix { $0 != ":" }
    let all = Devices.all.map(\.name).filter { $0.hasPrefix("\(kind):") }
    guard let first = all.firstIndex(of: name) else { return name }
    return all[(first + places) % all.count]
  }

  /// Refuses a choice that a run would refuse, without taking the device.
  ///
  /// - Throws: ``DeviceError`` if there is no such device
  static func require(_ choice: DeviceChoice) throws {
    if case .device(let name) = choice { try Devices.require(name) }
  }

  /// What records call it.
  var identity: String { backend?.identity ?? "cpu" }

  /// Runs `body` with new tensors on the device.
  func perform<Result>(_ body: () throws -> Result) rethrows -> Result {
    try withBackend(backend ?? HostBackend.shared, body)
  }
}
