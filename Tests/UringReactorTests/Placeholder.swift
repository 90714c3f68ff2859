@testable import UringReactor
