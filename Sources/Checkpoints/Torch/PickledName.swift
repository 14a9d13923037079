/// A reference in a pickle to a name in a module.
enum PickledName: CustomStringConvertible {
  case orderedDictionary
  case rebuildTensor
  case rebuildParameter
  case storage(ElementType)
  /// A class or function of anything else, which is never looked up. What a call of it would make is
  /// not needed.
  case opaque(String)

  /// - Throws: `Unpickler.Failure` for what makes a tensor in a way that is not read, and for what has
  ///   no place in a checkpoint but in an attack
  init(module: String, name: String) throws(Unpickler.Failure) {
    let full = "\(module).\(name)"
    switch full {
    case "collections.OrderedDict": self = .orderedDictionary
    case "torch._utils._rebuild_tensor_v2": self = .rebuildTensor
    case "torch._utils._rebuild_parameter": self = .rebuildParameter
    case "torch.FloatStorage": self = .storage(.f32)
    case "torch.DoubleStorage": self = .storage(.f64)
    case "torch.HalfStorage": self = .storage(.f16)
    case "torch.BFloat16Storage": self = .storage(.bf16)
    case "torch.LongStorage": self = .storage(.i64)
    case "torch.IntStorage": self = .storage(.i32)
    case "torch.ShortStorage": self = .storage(.i16)
    case "torch.CharStorage": self = .storage(.i8)
    case "torch.ByteStorage": self = .storage(.u8)
    case "torch.BoolStorage": self = .storage(.bool)
    default:
      let shown = full.prefix(200)
      guard !Self.isDangerous(module, name) else {
        throw Unpickler.Failure(
          problem: "it refers to \(shown), which no checkpoint needs: do not trust the file"
        )
      }
      guard !Self.makesTensors(module, name) else {
        throw Unpickler.Failure(
          problem: "it refers to \(shown), an unsupported kind of tensor; convert the file to "
            + "safetensors")
      }
      self = .opaque(String(shown))
    }
  }

  var description: String {
    switch self {
    case .orderedDictionary: "collections.OrderedDict"
    case .rebuildTensor: "torch._utils._rebuild_tensor_v2"
    case .rebuildParameter: "torch._utils._rebuild_parameter"
    case .storage(let type): "storage of \(type.rawValue)"
    case .opaque(let name): name
    }
  }

  /// Whether a tensor would silently be missing if this name were skipped.
  private static func makesTensors(_ module: String, _ name: String) -> Bool {
    ["torch._utils", "torch._tensor"].contains(module)
      || module == "torch.storage" && name.hasPrefix("_")
  }

  /// Nothing that a pickle names is ever called here; but a file that names these was made to do harm
  /// elsewhere, and nothing in it can be believed.
  private static func isDangerous(_ module: String, _ name: String) -> Bool {
    let parts = module.split(separator: ".") + name.split(separator: ".")
    guard !parts.contains(where: { powerful.contains(String($0)) }) else { return true }
    switch module {
    case "builtins", "__builtin__", "__builtins__": return !plainTypes.contains(name)
    default:
      return loaders.contains { module == $0 || module.hasPrefix($0 + ".") }
    }
  }

  /// Modules of Python that run programs or code, or reach files and the net.
  private static let powerful: Set<String> = [
    "os", "posix", "nt", "sys", "subprocess", "commands", "pty", "popen2", "importlib", "imp",
    "runpy", "code", "codeop", "pdb", "bdb", "profile", "cProfile", "timeit", "trace", "doctest",
    "ctypes", "_ctypes", "cffi", "shutil", "socket", "_socket", "ssl", "asyncio", "multiprocessing",
    "http", "httplib", "urllib", "urllib2", "requests", "aiohttp", "httpx", "ftplib", "smtplib",
    "telnetlib", "webbrowser", "pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib",
    "marshal", "shelve", "operator", "_operator", "inspect", "pip", "ensurepip", "venv", "pydoc",
    "eval", "exec", "execfile", "__import__", "__globals__", "__subclasses__", "__class__",
    "__reduce__", "f2py", "_winreg", "winreg", "signal", "_posixsubprocess", "fileinput",
    "tempfile",
    "linecache", "antigravity", "distutils", "setuptools",
  ]

  /// Parts of torch that load or run other files.
  private static let loaders = [
    "torch.hub", "torch.serialization", "torch.jit", "torch.package", "torch.utils.cpp_extension",
    "torch.utils._cpp_extension", "torch.distributed", "torch._inductor", "torch._dynamo",
    "torch.multiprocessing", "torch.fx",
  ]

  /// Built-in types that hold values.
  private static let plainTypes: Set<String> = [
    "set", "frozenset", "list", "dict", "tuple", "int", "long", "float", "complex", "bool", "str",
    "unicode", "bytes", "bytearray", "slice", "range", "xrange", "object", "Ellipsis",
    "NotImplemented", "type",
  ]
}
