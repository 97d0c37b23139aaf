"""Work over ten seconds (AIP-151): started by a method, run in the background, resumed after a kill, asked for by name.

runner.register("rapport.churn.v1.ModelService/TrainModel", train)     # bootstrap
return await runner.submit(connection, method=…, caller=…, request=request)   # the method
"""

from rapport_chassis.operations.rows import OperationRow, OperationState, OperationStore
from rapport_chassis.operations.runner import OperationRunner, Running, Work
from rapport_chassis.operations.servicer import OperationsServicer, require_permission_of

__all__ = [
    "OperationRow",
    "OperationRunner",
    "OperationState",
    "OperationStore",
    "OperationsServicer",
    "Running",
    "Work",
    "require_permission_of",
]
