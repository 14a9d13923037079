import Backends
import CommandSyntax
import Devices
import PipelineCore

/// What computes with tensors in a command, as the setting `device` or the option `--device` asks.
struct ComputingDevice {
  /// Nil: the host.
  let backend: DeviceBackend?

  static let option = CommandSyntax.Option.value(
    "device", "NAME", "auto (a GPU if available), cpu, cuda[:N] or opencl[:N] (auto)")

  /// - Throws: `UsageError`, or ``DeviceError`` if there is no such device
  init(_ arguments: Arguments) throws {
    let text = arguments.value("device") ?? "auto"
    guard let choice = DeviceChoice(text) else {
      throw arguments.error("--device must be \(DeviceChoice.expectation), but is \"\(text)\"")
    }
    try self.init(choice)
  }

  /// - Parameter localRank: the number of this process among those on its machine that work together, each of
  ///   which takes the next device, beginning with the one that is chosen
  /// - Throws: ``DeviceError`` if there is no such device
  init(_ choice: DeviceChoice, localRank: Int = 0) throws {
    switch choice {
    case .host: backend = nil
    case .device(let name): backend = try Devices.open(Self.device(localRank, after: name))
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
      let found = usable[localRank % usable.count]
      backend = try Devices.open(found.name)
      Console.note(
        "computing on \(found.name), \(found.description.product); `spo doctor --device-check` compares it "
          + "with the CPU")
    }
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
